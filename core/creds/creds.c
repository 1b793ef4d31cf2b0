/* SPDX-License-Identifier: MIT */
#include "creds.h"

#include <sched.h>
#include <stdatomic.h>

#include "../clock.h"
#include "../err.h"
#include "../fork.h"
#include "provider.h"

#define ADVISORY_S (15 * 60)
#define MANDATORY_S (10 * 60)
#define AGAIN_S 30      /* after a refresh that failed, while the old set is still good */
#define SHORT_LIFE_S 60 /* what lives less than the advisory time is not renewed at every call */
#define WAIT_MS 5

/* The order of the AWS CLI. */
static const cpl_creds_provider chain[] = {
    {.find = cpl_creds_find_environment, .environment = true},
    {.find = cpl_creds_find_role},
    {.find = cpl_creds_find_web_identity, .environment = true},
    {.find = cpl_creds_find_profile},
    {.find = cpl_creds_find_container},
    {.find = cpl_creds_find_instance, .last_resort = true},
};

/* ---- locks ---- */

/* Holds the mark of the process that shut it, so that a fork in the middle leaves the child no lock nobody opens. */
typedef atomic_int gate;

static bool gate_try(gate *g) {
    int own = (int)cpl_fork_mark(), found = atomic_load_explicit(g, memory_order_relaxed);
    return found != own &&
           atomic_compare_exchange_strong_explicit(g, &found, own, memory_order_acquire, memory_order_relaxed);
}

static void gate_shut(gate *g) {
    while (!gate_try(g)) sched_yield(); /* for the length of a few assignments */
}

static void gate_open(gate *g) {
    atomic_store_explicit(g, 0, memory_order_release);
}

/* ---- the source ---- */

struct cpl_creds {
    cpl_creds_options options;
    char *region; /* what options.region views */
    cpl_creds_line line;
    _Atomic(cpl_creds_set *)
        lasting;     /* a set that never expires: once there it stays, so that to read it takes no lock */
    gate refreshing; /* shut while a provider is asked; line is used inside only */
    gate door;       /* of all below; shut for moments */
    cpl_creds_set *current;
    int64_t until_s; /* current is good before; 0: always */
    int64_t next_s;  /* no refresh before */
    unsigned failures;
    cpl_error *last; /* the latest of them; made with the first, for few clients ever have one */
};

static cpl_status check_given(const cpl_credentials *given, cpl_error *err) {
    const struct {
        const char *name;
        cpl_str text;
        bool required;
    } parts[] = {{"access_key_id", given->access_key_id, true},
                 {"secret_access_key", given->secret_access_key, true},
                 {"session_token", given->session_token, false}};
    for (size_t i = 0; i < CPL_COUNT(parts); i++) {
        if (parts[i].required && parts[i].text.n == 0)
            return cpl_fail_at(err, CPL_INVALID, parts[i].name, "%s: missing, and keys come as a pair", parts[i].name);
        if (!cpl_creds_is_plain(parts[i].text))
            return cpl_fail_at(err, CPL_INVALID, parts[i].name, "%s: has a space or another character that no key has",
                               parts[i].name);
    }
    return CPL_OK;
}

static bool is_given(const cpl_credentials *given) {
    return given->access_key_id.n > 0 || given->secret_access_key.n > 0 || given->session_token.n > 0;
}

static bool set_up(cpl_creds *creds, const cpl_creds_options *options) {
    cpl_creds_set *given = NULL;
    if (options->anonymous || is_given(&options->given)) {
        given = cpl_creds_set_new(&options->given, 0, options->anonymous ? "anonymous" : "arguments");
        if (given == NULL) return false;
    }
    atomic_init(&creds->lasting, given);
    atomic_init(&creds->refreshing, 0);
    atomic_init(&creds->door, 0);
    creds->region = cpl_strdup(options->region);
    creds->options = *options;
    creds->options.given = (cpl_credentials){.access_key_id = {NULL, 0}};
    creds->options.region = cpl_str_of(creds->region);
    creds->line.options = &creds->options;
    if (creds->options.source.retain) creds->options.source.retain(creds->options.source.context);
    return creds->region != NULL;
}

cpl_status cpl_creds_open(cpl_creds **out, const cpl_creds_options *options, cpl_error *err) {
    cpl_creds *made;
    bool given = is_given(&options->given);
    cpl_status status = given ? check_given(&options->given, err) : CPL_OK;
    *out = NULL;
    if (status == CPL_OK && given + options->anonymous + (options->source.keys != NULL) > 1) {
        status = cpl_fail_at(err, CPL_INVALID, "credentials",
                             "credentials: given in two ways; keys, a provider of "
                             "one's own and anonymous exclude each other");
    }
    if (status) return status;
    made = cpl_calloc(1, sizeof *made);
    if (made == NULL) return cpl_fail_nomem(err);
    if (!set_up(made, options)) {
        cpl_creds_free(made);
        return cpl_fail_nomem(err);
    }
    *out = made;
    return CPL_OK;
}

cpl_status cpl_creds_new(cpl_creds **out, const cpl_config *config, const cpl_credentials *given, cpl_error *err) {
    cpl_creds_options options = {.config = config};
    if (given) options.given = *given;
    return cpl_creds_open(out, &options, err);
}

void cpl_creds_free(cpl_creds *creds) {
    if (creds == NULL) return;
    cpl_creds_drop(atomic_load(&creds->lasting));
    cpl_creds_drop(creds->current);
    cpl_creds_line_release(&creds->line);
    if (creds->options.source.release) creds->options.source.release(creds->options.source.context);
    cpl_free(creds->last);
    cpl_free(creds->region);
    cpl_free(creds);
}

void cpl_creds_use_http(cpl_creds *creds, cpl_http *http) {
    creds->line.shared = http;
}

/* ---- asking the providers ---- */

static cpl_status refuse(const cpl_config *config, const cpl_error *last, cpl_error *err) {
    return cpl_fail(err, CPL_CREDENTIALS, "no credentials: none in %sprofile \"%.200s\", none of a container; %s",
                    cpl_config_profile_given(config) ? "" : "the environment, none in ", cpl_config_profile(config),
                    last->message);
}

static cpl_status ask_chain(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err) {
    cpl_error own = {.status = CPL_OK};
    for (size_t i = 0; i < CPL_COUNT(chain); i++) {
        cpl_status status;
        if (chain[i].environment && cpl_config_profile_given(ask->config)) continue;
        status = chain[i].find(ask, out, &own);
        if (status == CPL_CREDENTIALS && chain[i].last_resort) break;
        if (status && err) *err = own;
        if (status || *out) return status;
    }
    return refuse(ask->config, &own, err);
}

static cpl_status ask_caller(const cpl_creds_options *options, cpl_creds_set **out, cpl_error *err) {
    cpl_creds_texts texts = {.name = {"access_key_id", "secret_access_key", "session_token"},
                             .place = "the credentials provider",
                             .source = "provider"};
    cpl_keys *keys = cpl_calloc(1, sizeof *keys);
    cpl_status status;
    if (keys == NULL) return cpl_fail_nomem(err);
    status = options->source.keys(options->source.context, keys, err);
    if (status == CPL_OK) {
        texts.text[0] = cpl_str_of(keys->access_key_id);
        texts.text[1] = cpl_str_of(keys->secret_access_key);
        texts.text[2] = cpl_str_of(keys->session_token);
        texts.expires_s = keys->expires_s;
        status = cpl_creds_require_texts(&texts, out, err);
    }
    cpl_wipe(keys, sizeof *keys);
    cpl_free(keys);
    return status;
}

static bool is_of_instance(const cpl_creds_set *set) {
    return strcmp(set->source, "instance metadata") == 0;
}

static int64_t skew_of(const cpl_creds *creds) {
    return creds->options.skew_s ? atomic_load_explicit(creds->options.skew_s, memory_order_relaxed) : 0;
}

/*
 * A set to go on with; *now follows when asking tells that the clock is wrong. Expired ones are no use, but for those
 * of the instance, which get more time from their user.
 */
static cpl_status ask(cpl_creds *creds, int64_t *now, const cpl_wait *wait, cpl_creds_set **out, cpl_error *err) {
    const cpl_creds_ask question = {creds->options.config, &creds->line, *now, wait};
    int64_t before_s = skew_of(creds), now_s;
    cpl_status status;
    *out = NULL;
    status = creds->options.source.keys ? ask_caller(&creds->options, out, err) : ask_chain(&question, out, err);
    now_s = *now += skew_of(creds) - before_s;
    if (status || (*out)->expires_s == 0 || (*out)->expires_s > now_s || is_of_instance(*out)) return status;
    status = cpl_fail(err, CPL_CREDENTIALS, "the credentials found (%s) have expired", (*out)->source);
    cpl_creds_drop(*out);
    *out = NULL;
    return status;
}

/* ---- what is due ---- */

typedef enum need { NOTHING, SOON, NOW } need;

typedef struct glance {
    cpl_creds_set *set; /* retained; NULL: none yet */
    need need;
    unsigned failures;
} glance;

static need judge(const cpl_creds *creds, int64_t now_s) {
    if (creds->current == NULL || (creds->until_s != 0 && now_s >= creds->until_s)) return NOW;
    if (creds->until_s == 0 || now_s < creds->next_s) return NOTHING;
    return now_s >= creds->until_s - MANDATORY_S ? NOW : SOON;
}

static glance look(cpl_creds *creds, int64_t now_s) {
    glance seen;
    gate_shut(&creds->door);
    seen = (glance){creds->current, judge(creds, now_s), creds->failures};
    if (seen.set) cpl_creds_set_retain(seen.set);
    gate_open(&creds->door);
    return seen;
}

static void look_again(cpl_creds *creds, int64_t now_s, glance *seen) {
    cpl_creds_drop(seen->set);
    *seen = look(creds, now_s);
}

static double chance(const cpl_creds *creds) {
    uint32_t bits = UINT32_MAX / 2;
    if (creds->options.chance) return creds->options.chance();
    (void)cpl_random(&bits, sizeof bits, NULL); /* without it the instances of a fleet just come together */
    return (double)bits / UINT32_MAX;
}

/* The next refresh is due at a moment of 2 to 10 minutes from now. */
static void extend(cpl_creds *creds, int64_t now_s) {
    creds->next_s = now_s + 120 + (int64_t)(480 * chance(creds));
    creds->until_s = creds->next_s + MANDATORY_S;
}

static void schedule(cpl_creds *creds, int64_t now_s) {
    int64_t expires_s = creds->current->expires_s, half_s = (expires_s - now_s) / 2;
    int64_t ahead_s = expires_s - ADVISORY_S, earliest_s = now_s + (half_s < SHORT_LIFE_S ? half_s : SHORT_LIFE_S);
    if (expires_s != 0 && expires_s <= now_s) {
        extend(creds, now_s);
        return;
    }
    creds->until_s = expires_s;
    creds->next_s = ahead_s > earliest_s ? ahead_s : earliest_s;
}

/* ---- a refresh; inside the refreshing gate ---- */

static void take(cpl_creds *creds, cpl_creds_set *fresh, int64_t now_s) {
    cpl_creds_set *old;
    gate_shut(&creds->door);
    old = creds->current;
    creds->current = fresh;
    schedule(creds, now_s);
    gate_open(&creds->door);
    cpl_creds_drop(old);
    if (fresh->expires_s != 0) return;
    cpl_creds_set_retain(fresh);
    atomic_store_explicit(&creds->lasting, fresh, memory_order_release);
}

/* After a refresh that failed: whether the old set may go on. */
static bool keep_old(cpl_creds *creds, int64_t now_s, const cpl_error *why) {
    bool good;
    gate_shut(&creds->door);
    good = creds->current && now_s < creds->until_s;
    if (good) {
        creds->next_s = now_s + AGAIN_S;
    } else if (creds->current && is_of_instance(creds->current)) {
        extend(creds, now_s);
        good = true;
    } else {
        creds->failures++;
        if (creds->last == NULL) creds->last = cpl_malloc(sizeof *creds->last);
        if (creds->last) *creds->last = *why;
    }
    gate_open(&creds->door);
    return good;
}

static cpl_status refresh(cpl_creds *creds, int64_t now_s, const cpl_wait *wait, glance *seen, cpl_error *err) {
    cpl_creds_set *fresh = NULL;
    cpl_error why = {.status = CPL_OK};
    cpl_status status;
    look_again(creds, now_s, seen); /* another may have been here just before */
    if (seen->need == NOTHING) return CPL_OK;
    status = ask(creds, &now_s, wait, &fresh, &why);
    if (status == CPL_OK) take(creds, fresh, now_s);
    if (status && (status == CPL_CANCELLED || status == CPL_NOMEM || !keep_old(creds, now_s, &why))) {
        if (err) *err = why;
        return status;
    }
    look_again(creds, now_s, seen);
    return CPL_OK;
}

/* ---- the current set ---- */

/* Until the refresh that runs has ended; its failure is ours too. */
static cpl_status await(cpl_creds *creds, int64_t now_s, const cpl_wait *wait, glance *seen, cpl_error *err) {
    int64_t limit_ms = wait ? wait->timeout_ms : 0;
    int64_t until_ms = limit_ms > 0 ? cpl_clock_monotonic_ms() + limit_ms : INT64_MAX;
    unsigned failures = seen->failures;
    cpl_status status;
    while (seen->need == NOW &&
           atomic_load_explicit(&creds->refreshing, memory_order_relaxed) == (int)cpl_fork_mark()) {
        status = cpl_clock_sleep(WAIT_MS, wait, err);
        if (status) return status;
        if (cpl_clock_monotonic_ms() >= until_ms)
            return cpl_fail(err, CPL_TIMEOUT, "no credentials within %lld ms", (long long)limit_ms);
        look_again(creds, now_s, seen);
    }
    look_again(creds, now_s, seen);
    if (seen->need != NOW || seen->failures == failures) return CPL_OK;
    gate_shut(&creds->door);
    status = creds->last ? creds->last->status : CPL_NOMEM;
    if (creds->last && err) *err = *creds->last;
    gate_open(&creds->door);
    return status == CPL_NOMEM ? cpl_fail_nomem(err) : status;
}

static cpl_status settle(cpl_creds *creds, int64_t now_s, const cpl_wait *wait, glance *seen, cpl_error *err) {
    cpl_status status = CPL_OK;
    while (seen->need != NOTHING && status == CPL_OK) {
        if (gate_try(&creds->refreshing)) {
            status = refresh(creds, now_s, wait, seen, err);
            gate_open(&creds->refreshing);
            return status;
        }
        if (seen->need == SOON) return CPL_OK;
        status = await(creds, now_s, wait, seen, err);
    }
    return status;
}

cpl_status cpl_creds_acquire(cpl_creds *creds, int64_t now_s, const cpl_wait *wait, const cpl_creds_set **out,
                             cpl_error *err) {
    cpl_creds_set *lasting = atomic_load_explicit(&creds->lasting, memory_order_acquire);
    glance seen;
    cpl_status status;
    *out = lasting;
    if (lasting) {
        cpl_creds_set_retain(lasting);
        return CPL_OK;
    }
    seen = look(creds, now_s);
    status = settle(creds, now_s, wait, &seen, err);
    if (status) {
        cpl_creds_drop(seen.set);
        return status;
    }
    *out = seen.set;
    return CPL_OK;
}

cpl_status cpl_creds_instance_region(cpl_creds *creds, const cpl_wait *wait, char out[CPL_REGION_SIZE],
                                     cpl_error *err) {
    cpl_creds_line line = {.options = &creds->options};
    const cpl_creds_ask question = {.config = creds->options.config, .line = &line, .wait = wait};
    cpl_status status = cpl_creds_ask_region(&question, out, err);
    cpl_creds_line_release(&line);
    return status;
}
