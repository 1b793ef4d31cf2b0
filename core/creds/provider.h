/* SPDX-License-Identifier: MIT */
/*
 * What the providers share: the question they are asked, the sets they answer with, and how they talk to services.
 * Secrets stay out of messages; whatever held one is wiped.
 */
#ifndef CPL_CREDS_PROVIDER_H
#define CPL_CREDS_PROVIDER_H

#include "../endpoint.h"
#include "../json.h"
#include "creds.h"

/* How requests leave; the last two are made when first needed, by the one refresh that runs. */
typedef struct cpl_creds_line {
    const cpl_creds_options *options;
    cpl_http *shared; /* see cpl_creds_use_http(); not owned */
    cpl_http *own;    /* where there is no shared one */
    cpl_http *direct; /* no proxy: what is link-local must not leave the machine */
} cpl_creds_line;
void cpl_creds_line_release(cpl_creds_line *line);

typedef struct cpl_creds_ask {
    const cpl_config *config;
    cpl_creds_line *line;
    int64_t now_s;
    const cpl_wait *wait;
} cpl_creds_ask;

/* A row of the chain. *out NULL with CPL_OK: nothing to say, try the next. */
typedef struct cpl_creds_provider {
    cpl_status (*find)(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err);
    bool environment; /* passed over when the caller named a profile */
    bool last_resort; /* its failure does not hide that the others had nothing */
} cpl_creds_provider;

cpl_status cpl_creds_find_environment(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err);
cpl_status cpl_creds_find_web_identity(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err);
cpl_status cpl_creds_find_role(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err);
cpl_status cpl_creds_find_profile(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err);
cpl_status cpl_creds_find_container(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err);
cpl_status cpl_creds_find_instance(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err);

/* What a profile has of its own, by the key that says so; the profile is there and has the key. */
cpl_status cpl_creds_profile_keys(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out, cpl_error *err);
cpl_status cpl_creds_profile_source(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out, cpl_error *err);
cpl_status cpl_creds_profile_web_identity(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out,
                                          cpl_error *err);
cpl_status cpl_creds_profile_sso(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out, cpl_error *err);
cpl_status cpl_creds_profile_login(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out, cpl_error *err);
cpl_status cpl_creds_profile_process(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out,
                                     cpl_error *err);

/*
 * How a profile comes to credentials: those of base first, then each role with those of the one before. The roles are
 * in the order of the files: the profile that was asked for is the first and is assumed last.
 */
#define CPL_ROLES_MAX 16
typedef struct cpl_creds_plan {
    const char *roles[CPL_ROLES_MAX]; /* names of profiles; views of config */
    size_t role_count;
    const char *base;
    cpl_status (*find)(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out, cpl_error *err);
} cpl_creds_plan;
/* find is NULL when profile has neither a role nor credentials. CPL_CREDENTIALS names the profile at fault. */
cpl_status cpl_creds_plan_make(const cpl_config *config, const char *profile, cpl_creds_plan *out, cpl_error *err);

/* ---- sets ---- */

/* A set that copies the three texts; NULL when out of memory. */
cpl_creds_set *cpl_creds_set_new(const cpl_credentials *from, int64_t expires_s, const char *source);
void cpl_creds_set_retain(cpl_creds_set *set);
/* Printable ASCII without blanks: what a key may be made of. */
bool cpl_creds_is_plain(cpl_str text);

/* What a place says, and the names it has for it. */
typedef struct cpl_creds_texts {
    const char *name[3]; /* of access key id, secret access key, session token */
    cpl_str text[3];     /* absent or empty when it has none */
    const char *place;   /* for messages: "the environment", "profile \"x\"" */
    const char *source;
    int64_t expires_s;
} cpl_creds_texts;
/* A set from them; *out NULL when there is no key. CPL_CREDENTIALS: half a pair, or a text that no key can be. */
cpl_status cpl_creds_from_texts(const cpl_creds_texts *texts, cpl_creds_set **out, cpl_error *err);
/* The same where there must be keys. */
cpl_status cpl_creds_require_texts(const cpl_creds_texts *texts, cpl_creds_set **out, cpl_error *err);

/* A JSON object with keys, as containers, the instance metadata and processes give it. */
typedef struct cpl_creds_document {
    const char *name[4]; /* of the members; the fourth is the time of expiry, ISO 8601, which may be missing */
    const char *place, *source;
} cpl_creds_document;
cpl_status cpl_creds_from_json(const cpl_json *object, const cpl_creds_document *document, cpl_creds_set **out,
                               cpl_error *err);
/* CPL_CREDENTIALS that names place, when it is not JSON. Free with cpl_json_free(), which wipes. */
cpl_status cpl_creds_parse_json(cpl_str text, const char *place, cpl_json **out, cpl_error *err);

/* ---- talking ---- */

typedef struct cpl_creds_message {
    const char *method;
    const char *url;
    const cpl_header *headers;
    size_t header_count;
    cpl_str body;
    const char *place; /* for messages: "STS" */
    int attempts;      /* when no answer comes; a 5xx or throttled one is asked again twice in any case. 0: 3 */
    bool direct;
} cpl_creds_message;
/* Any answer is CPL_OK, whatever its status; else CPL_CREDENTIALS, CPL_CANCELLED or CPL_NOMEM. */
cpl_status cpl_creds_send(const cpl_creds_ask *ask, const cpl_creds_message *message, cpl_http_response *response,
                          cpl_error *err);
/* The same, and CPL_CREDENTIALS unless the answer is a 2xx; an error in JSON or XML is told by its words. */
cpl_status cpl_creds_call(const cpl_creds_ask *ask, const cpl_creds_message *message, cpl_http_response *response,
                          cpl_error *err);
/* The URL of a service, with the endpoint settings applied, without trailing slash. */
cpl_status cpl_creds_endpoint(const cpl_creds_ask *ask, const char *service, const char *setting, cpl_str region,
                              cpl_endpoint *out, cpl_error *err);
/* A file with a token, without the line end after it. CPL_CREDENTIALS when it cannot be read or is no header's text. */
cpl_status cpl_creds_read_token(const cpl_creds_ask *ask, const char *path, cpl_buf *out, cpl_error *err);
/* Any failure that is not the caller's doing becomes CPL_CREDENTIALS. */
cpl_status cpl_creds_as_credentials(cpl_status status, cpl_error *err);
/* cpl_buf_status() so. */
cpl_status cpl_creds_check_text(const cpl_buf *text, const char *what, cpl_error *err);

/* ---- STS ---- */

typedef struct cpl_creds_role {
    const char *arn;
    const char *session_name; /* NULL: made up */
    const char *external_id, *duration;
    const char *mfa_serial, *mfa_code; /* both or none */
    const char *place;                 /* for messages: "profile \"x\"" */
    const char *source;
} cpl_creds_role;
cpl_status cpl_creds_assume_role(const cpl_creds_ask *ask, const cpl_creds_role *role, const cpl_creds_set *with,
                                 cpl_creds_set **out, cpl_error *err);
cpl_status cpl_creds_assume_web_identity(const cpl_creds_ask *ask, const cpl_creds_role *role, const char *token_file,
                                         cpl_creds_set **out, cpl_error *err);

/* The region to ask services in: the client's, else what config says; absent when nobody says. */
cpl_str cpl_creds_region(const cpl_creds_ask *ask);

/* ---- token files ---- */

cpl_status cpl_creds_load_token(const cpl_creds_ask *ask, const char *file, const char *command, cpl_json **out,
                                cpl_error *err);
/* Replaces the file; what cannot be saved is still good for us, so nothing is reported. */
void cpl_creds_save_token(const cpl_creds_ask *ask, const char *file, const cpl_json *token);

/* ---- SSO ---- */

typedef struct cpl_creds_sso_session {
    const char *name; /* of the session; in the older form, the start URL */
    const char *region;
    bool renewable;
} cpl_creds_sso_session;
/* The access token, appended to token; renewed, and written back, from 15 minutes before its end when that can be. */
cpl_status cpl_creds_session_token(const cpl_creds_ask *ask, const cpl_creds_sso_session *session, cpl_buf *token,
                                   double *expires_s, cpl_error *err);

/* ---- for single tests ---- */

/* cpl_creds_session_token() of a profile's session. */
cpl_status cpl_creds_sso_token(const cpl_creds_ask *ask, const char *profile, cpl_buf *token, double *expires_s,
                               cpl_error *err);
/* Where the container's credentials are; CPL_OK with an empty out when no variable says. */
cpl_status cpl_creds_container_url(const cpl_config *config, cpl_buf *out, cpl_error *err);
/* "http://169.254.169.254", without trailing slash. */
cpl_status cpl_creds_instance_url(const cpl_config *config, cpl_buf *out, cpl_error *err);
/* The region out of the instance's metadata. */
cpl_status cpl_creds_ask_region(const cpl_creds_ask *ask, char out[CPL_REGION_SIZE], cpl_error *err);

#endif
