/* SPDX-License-Identifier: MIT */
/* An emulator without its server: who it is, its clock, and what holds its state. */
#include "../digest.h"
#include "auth.h"
#include "demo.h"
#include "engine.h"
#include "feed.h"
#include "functions.h"
#include "snapshot.h"

#define ADVANCE_MAX_MS ((int64_t)3660 * 24 * 3600 * 1000)
#define DEFAULT_REGION "us-east-1"
#define DEFAULT_ACCOUNT_ID "123456789012"
/* Fixed, so that two programs find each other without a word; they open nothing but an emulator. */
#define DEFAULT_ACCESS_KEY_ID "AKIAEMULATOROWNER00"
#define DEFAULT_SECRET_ACCESS_KEY "emulator/owner/secret/key/of/no/account0"

struct emu {
    emu_store *store;
    emu_engine *engine;
    emu_feed *feed;
    emu_functions *functions;
    cpl_signer *signer;
    char *region, *account_id, *access_key_id, *secret_access_key;
    int64_t now_ms;
    int64_t ahead_ms; /* how far the clock is ahead of the machine's; behind it once it was frozen */
    bool frozen;
    bool accepts_repeats;
    uint64_t seed; /* 0: what is random really is */
    char url[300];
};

static char *text_or(cpl_str text, const char *fallback) {
    return cpl_strdup(text.n > 0 ? text : cpl_str_of(fallback));
}

static bool is_digits(cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return false;
    }
    return true;
}

/* Letters, digits and dashes: what may stand in a credential scope and an ARN. */
static bool is_region(cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-') return false;
    }
    return text.n < 64;
}

static cpl_status check_options(const cpl_emulator_options *o, cpl_error *err) {
    bool accepted;
    if (o->port < 0 || o->port > 65535) return cpl_fail_at(err, CPL_INVALID, "port", "%d is not a port", o->port);
    if (o->account_id.n > 0 && (o->account_id.n != 12 || !is_digits(o->account_id)))
        return cpl_fail_at(err, CPL_INVALID, "account_id", "an account id is 12 digits");
    if (!is_region(o->region))
        return cpl_fail_at(err, CPL_INVALID, "region", "\"%.*s\" is not a region", (int)cpl_utf8_cut(o->region, 100),
                           o->region.p);
    if (o->demo && o->state.p) return cpl_fail_at(err, CPL_INVALID, "demo", "demo and state are one too many");
    if ((o->access_key_id.n > 0) != (o->secret_access_key.n > 0))
        return cpl_fail_at(err, CPL_INVALID, "access_key_id", "a key needs a secret, and a secret a key");
    return emu_repeats_read(o->repeats, &accepted, err);
}

static cpl_status read_state(cpl_str text, cpl_json **out, cpl_error *err) {
    cpl_error found;
    cpl_status status = cpl_json_parse(text, out, &found);
    return status ? cpl_fail_at(err, status, "state", "state: %s", found.message) : CPL_OK;
}

static cpl_status open_store(emu *e, cpl_str path, cpl_error *err) {
    char *copy = cpl_strdup(path);
    cpl_status status = copy ? emu_store_open(&e->store, copy, err) : cpl_fail_nomem(err);
    cpl_error found;
    if (status == CPL_OK && path.n > 0) {
        status = emu_snapshot_check_store(e->store, &found);
        if (status)
            status = cpl_fail_at(err, status == CPL_INVALID ? CPL_IO : status, found.path, "\"%s\" is damaged: %s",
                                 copy, found.message);
    }
    cpl_free(copy);
    return status;
}

/* Not beside what is there: a file that was opened again keeps what became of the first demo. */
static cpl_status begin_with_demo(emu *e, cpl_error *err) {
    static const emu_table tables[] = {EMU_PIPELINE, EMU_ACTION_TYPE, EMU_BUCKET};
    cpl_status status;
    cpl_buf text;
    for (size_t i = 0; i < CPL_COUNT(tables); i++) {
        if (emu_store_size(e->store, tables[i]) > 0) return CPL_OK;
    }
    cpl_buf_init(&text, (size_t)1 << 26);
    status = emu_demo_write(cpl_str_of(e->region), cpl_str_of(e->account_id), e->now_ms, &text, err);
    if (status == CPL_OK) status = emu_restore(e, cpl_buf_str(&text), err);
    cpl_buf_release(&text);
    return status;
}

static cpl_status open_all(emu *e, cpl_str path, cpl_error *err) {
    cpl_status status = open_store(e, path, err);
    if (status) return status;
    e->engine = emu_engine_new(e);
    return e->engine && emu_jobs_invoke_again(e->engine) ? CPL_OK : cpl_fail_nomem(err);
}

cpl_status emu_new_plain(emu **out, const cpl_emulator_options *o, cpl_error *err) {
    cpl_status status = check_options(o, err);
    emu *e;
    *out = NULL;
    if (status) return status;
    e = cpl_calloc(1, sizeof *e);
    if (e == NULL) return cpl_fail_nomem(err);
    emu_set_now(e, cpl_clock_wall_ms());
    emu_repeats_read(o->repeats, &e->accepts_repeats, NULL); /* which was checked */
    e->region = text_or(o->region, DEFAULT_REGION);
    e->account_id = text_or(o->account_id, DEFAULT_ACCOUNT_ID);
    e->access_key_id = text_or(o->access_key_id, DEFAULT_ACCESS_KEY_ID);
    e->secret_access_key = text_or(o->secret_access_key, DEFAULT_SECRET_ACCESS_KEY);
    e->signer = cpl_signer_new();
    e->feed = emu_feed_new();
    e->functions = emu_functions_new();
    if (!e->region || !e->account_id || !e->access_key_id || !e->secret_access_key || !e->signer || !e->feed ||
        !e->functions)
        status = cpl_fail_nomem(err);
    if (status == CPL_OK) status = open_all(e, o->path, err);
    if (status) {
        emu_free(e);
    } else {
        *out = e;
    }
    return status;
}

/* Region and account are those of the state, unless others are given, which are then wrong. */
cpl_status emu_new(emu **out, const cpl_emulator_options *options, cpl_error *err) {
    cpl_emulator_options o = options ? *options : (cpl_emulator_options){.port = 0};
    cpl_json *state = NULL;
    cpl_status status = o.state.p ? read_state(o.state, &state, err) : CPL_OK;
    *out = NULL;
    if (o.region.n == 0) o.region = cpl_json_get_str(state, "region");
    if (o.account_id.n == 0) o.account_id = cpl_json_get_str(state, "account");
    if (status == CPL_OK) status = emu_new_plain(out, &o, err);
    if (status == CPL_OK && o.demo) status = begin_with_demo(*out, err);
    if (status == CPL_OK && state) status = emu_snapshot_read(*out, state, err);
    if (status) {
        emu_free(*out);
        *out = NULL;
    }
    cpl_json_free(state);
    return status;
}

void emu_free(emu *e) {
    if (e == NULL) return;
    emu_engine_free(e->engine);
    emu_store_close(e->store);
    emu_feed_close(e->feed);
    emu_functions_free(e->functions);
    cpl_signer_free(e->signer);
    cpl_free(e->region);
    cpl_free(e->account_id);
    cpl_free(e->access_key_id);
    if (e->secret_access_key) cpl_wipe(e->secret_access_key, strlen(e->secret_access_key));
    cpl_free(e->secret_access_key);
    cpl_free(e);
}

void emu_set_now(emu *e, int64_t now_ms) {
    if (e->frozen) e->ahead_ms -= now_ms - e->now_ms;
    e->now_ms = now_ms;
}

void emu_clock_freeze(emu *e, bool frozen) {
    e->frozen = frozen;
}

bool emu_clock_frozen(const emu *e) {
    return e->frozen;
}

void emu_clock_advance(emu *e, int64_t ms) {
    e->ahead_ms += ms;
}

cpl_status emu_clock_turn(emu *e, int64_t ms, cpl_error *err) {
    if (ms < 0) return cpl_fail_at(err, CPL_INVALID, "ms", "the clock cannot be turned back");
    if (ms > ADVANCE_MAX_MS) return cpl_fail_at(err, CPL_INVALID, "ms", "the clock is turned by at most ten years");
    emu_clock_advance(e, ms);
    emu_engine_advance(e);
    return CPL_OK;
}

void emu_clock_set(emu *e, int64_t now_ms, bool frozen) {
    e->ahead_ms = now_ms - e->now_ms;
    e->frozen = frozen;
}

/* From the documents that are in the store now. */
static cpl_status renew_engine(emu *e, cpl_error *err) {
    e->engine = emu_engine_new(e);
    if (e->engine == NULL || !emu_jobs_invoke_again(e->engine)) return cpl_fail_nomem(err);
    return emu_store_commit(e->store, err);
}

/* While the new documents are not written, the old ones are kept, with all that was made of them. Scripts stay. */
cpl_status emu_adopt(emu *e, emu_store *fresh, cpl_error *err) {
    emu_engine *before = e->engine;
    emu_functions *aside = emu_functions_new();
    cpl_status status;
    if (aside == NULL) {
        emu_store_close(fresh);
        return cpl_fail_nomem(err);
    }
    emu_store_exchange(e->store, fresh);
    emu_functions_exchange(e->functions, aside);
    status = renew_engine(e, err);
    if (status) {
        emu_engine_free(e->engine);
        emu_functions_exchange(e->functions, aside);
        emu_store_exchange(e->store, fresh);
        e->engine = before;
    } else {
        e->engine->scripts = before->scripts;
        before->scripts = NULL;
        emu_functions_keep_running(e->functions, aside);
        emu_engine_free(before);
    }
    emu_functions_free(aside);
    emu_store_close(fresh);
    return status;
}

int64_t emu_wall_ms(const emu *e) {
    return e->now_ms;
}

int64_t emu_now_ms(const emu *e) {
    return e->now_ms + e->ahead_ms;
}

double emu_now_s(const emu *e) {
    return (double)emu_now_ms(e) / 1000;
}

emu_store *emu_store_of(emu *e) {
    return e->store;
}

emu_feed *emu_feed_of(const emu *e) {
    return e->feed;
}

emu_functions *emu_functions_of(const emu *e) {
    return e->functions;
}

emu_engine *emu_engine_of(const emu *e) {
    return e->engine;
}

void emu_set_url(emu *e, const char *url) {
    CPL_COPY(e->url, cpl_str_of(url));
}

const char *emu_url(const emu *e) {
    return e->url[0] ? e->url : "http://localhost";
}

bool emu_accepts_repeats(const emu *e) {
    return e->accepts_repeats;
}

cpl_status emu_set_repeats(emu *e, cpl_str policy, cpl_error *err) {
    bool accepted;
    cpl_status status = emu_repeats_read(policy.n > 0 ? policy : CPL_LIT("?"), &accepted, err);
    if (status == CPL_OK) e->accepts_repeats = accepted;
    return status;
}

const char *emu_region(const emu *e) {
    return e->region;
}

const char *emu_account_id(const emu *e) {
    return e->account_id;
}

cpl_credentials emu_owner(const emu *e) {
    return (cpl_credentials){.access_key_id = cpl_str_of(e->access_key_id),
                             .secret_access_key = cpl_str_of(e->secret_access_key)};
}

cpl_signer *emu_signer(const emu *e) {
    return e->signer;
}

void emu_seed(emu *e, uint64_t seed) {
    e->seed = seed;
}

/* Seeded: splitmix64. */
bool emu_random(emu *e, void *out, size_t n) {
    unsigned char *to = out;
    if (e->seed == 0) return cpl_random(out, n, NULL) == CPL_OK;
    for (size_t i = 0; i < n; i++) {
        uint64_t z = e->seed += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        to[i] = (unsigned char)(z >> 56);
    }
    return true;
}

bool emu_uuid(emu *e, char out[CPL_UUID_SIZE]) {
    unsigned char bytes[16];
    if (!emu_random(e, bytes, sizeof bytes)) return false;
    cpl_uuid_of(bytes, out);
    return true;
}

cpl_status emu_restore(emu *e, cpl_str text, cpl_error *err) {
    cpl_json *state = NULL;
    cpl_status status = read_state(text, &state, err);
    if (status == CPL_OK) status = emu_snapshot_read(e, state, err);
    cpl_json_free(state);
    return status;
}
