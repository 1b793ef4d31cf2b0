/* SPDX-License-Identifier: MIT */
#include "backlog.h"

#include <pthread.h>

#include "sigv4.h"

#define KEPT_MAX 64 /* a call makes a handful; more are of use to nobody who has not looked so far */

/* One event with all it points to, in one piece of memory. */
typedef struct kept {
    struct kept *next;
    cpl_call_event event;
    cpl_header headers[]; /* then the texts */
} kept;

struct cpl_backlog {
    cpl_observer observer;
    pthread_mutex_t lock; /* of the rest */
    kept *first;
    size_t count;
};

/* ---- keeping ---- */

static size_t size_of(const char *text) {
    return text ? strlen(text) + 1 : 0;
}

static char *put(char **to, cpl_str text) {
    char *copy = *to;
    if (text.n > 0) memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    *to = copy + text.n + 1;
    return copy;
}

static const char *put_cstr(char **to, const char *text) {
    return text ? put(to, cpl_str_of(text)) : NULL;
}

static kept *copy_of(const cpl_call_event *event) {
    cpl_str name, value;
    size_t count = 0, size = size_of(event->url) + size_of(event->request_id) + size_of(event->code) +
                             size_of(event->message) + event->text.n + 1;
    kept *copy;
    char *to;
    for (; cpl_call_event_header(event, count, &name, &value); count++) size += name.n + value.n + 2;
    copy = cpl_malloc(sizeof *copy + count * sizeof copy->headers[0] + size);
    if (copy == NULL) return NULL;
    to = (char *)&copy->headers[count];
    copy->next = NULL;
    copy->event = *event;
    copy->event.url = put_cstr(&to, event->url);
    copy->event.request_id = put_cstr(&to, event->request_id);
    copy->event.code = put_cstr(&to, event->code);
    copy->event.message = put_cstr(&to, event->message);
    copy->event.text.p = put(&to, event->text);
    for (size_t i = 0; i < count; i++) {
        (void)cpl_call_event_header(event, i, &name, &value);
        copy->headers[i] = (cpl_header){{put(&to, name), name.n}, {put(&to, value), value.n}};
    }
    copy->event.sent = copy->headers;
    copy->event.sent_count = count;
    copy->event.reply = NULL;
    return copy;
}

/* What there is no memory for is not told; the call goes on. */
static int keep(void *context, const cpl_call_event *event) {
    cpl_backlog *backlog = context;
    kept *copy = copy_of(event), **end = &backlog->first;
    if (copy == NULL) return 0;
    pthread_mutex_lock(&backlog->lock);
    if (backlog->count < KEPT_MAX) {
        while (*end) end = &(*end)->next;
        *end = copy;
        backlog->count++;
        copy = NULL;
    }
    pthread_mutex_unlock(&backlog->lock);
    cpl_free(copy);
    return 0;
}

/* ---- the object ---- */

cpl_backlog *cpl_backlog_new(void) {
    cpl_backlog *backlog = cpl_calloc(1, sizeof *backlog);
    if (backlog == NULL) return NULL;
    if (pthread_mutex_init(&backlog->lock, NULL) != 0) {
        cpl_free(backlog);
        return NULL;
    }
    backlog->observer = (cpl_observer){keep, backlog};
    return backlog;
}

static kept *take_all(cpl_backlog *backlog) {
    kept *all;
    pthread_mutex_lock(&backlog->lock);
    all = backlog->first;
    backlog->first = NULL;
    backlog->count = 0;
    pthread_mutex_unlock(&backlog->lock);
    return all;
}

static void tell_all(kept *all, const cpl_observer *observer) {
    while (all) {
        kept *next = all->next;
        if (observer) (void)observer->event(observer->context, &all->event);
        cpl_free(all);
        all = next;
    }
}

void cpl_backlog_free(cpl_backlog *backlog) {
    if (backlog == NULL) return;
    tell_all(take_all(backlog), NULL);
    pthread_mutex_destroy(&backlog->lock);
    cpl_free(backlog);
}

const cpl_observer *cpl_backlog_observer(cpl_backlog *backlog) {
    return &backlog->observer;
}

void cpl_backlog_tell(cpl_backlog *backlog, const cpl_wait *wait) {
    tell_all(take_all(backlog), wait ? wait->observer : NULL);
}
