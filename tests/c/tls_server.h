/* SPDX-License-Identifier: MIT */
/* A TLS server with a certificate nobody signed, from the openssl command. */
#ifndef TLS_SERVER_H
#define TLS_SERVER_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct tls_server {
    pid_t pid;
    char folder[32];
    char certificate[64];
    char key[64];
    char url[64];
} tls_server;

/* verify: NULL, or "-Verify": the server wants to be shown its own certificate. */
__attribute__((unused)) static bool tls_server_start(tls_server *s, const char *verify) {
    char command[512], line[256];
    int out[2], port = 0;
    FILE *from;
    snprintf(s->folder, sizeof s->folder, "/tmp/tls_server.XXXXXX");
    if (mkdtemp(s->folder) == NULL || pipe(out) != 0) return false;
    snprintf(s->certificate, sizeof s->certificate, "%s/c.pem", s->folder);
    snprintf(s->key, sizeof s->key, "%s/k.pem", s->folder);
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -days 2"
             " -keyout %s -out %s 2>/dev/null",
             s->key, s->certificate);
    if (system(command) != 0) return false;
    s->pid = fork();
    if (s->pid == 0) {
        dup2(out[1], 1);
        dup2(open("/dev/null", O_RDWR), 0);
        dup2(0, 2);
        close(out[0]);
        execlp("openssl", "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", s->certificate, "-key", s->key,
               "-www", "-CAfile", s->certificate, verify, "1", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    from = fdopen(out[0], "r");
    while (port == 0 && fgets(line, sizeof line, from)) sscanf(line, "ACCEPT 127.0.0.1:%d", &port);
    fclose(from);
    snprintf(s->url, sizeof s->url, "https://127.0.0.1:%d/", port);
    return port != 0;
}

__attribute__((unused)) static void tls_server_stop(tls_server *s) {
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
    }
    unlink(s->certificate);
    unlink(s->key);
    rmdir(s->folder);
}

#endif
