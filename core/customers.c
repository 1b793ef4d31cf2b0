/* SPDX-License-Identifier: MIT */
#include "customers.h"

#include <pthread.h>

#include "clock.h"
#include "digest.h"
#include "err.h"

#define TOKEN_MAX 256   /* as the service has it */
#define MUTED_MS 60000  /* without a token: the service offers a job again after as long */
#define REFUSED_MS 5000 /* the program may have said it a moment too early */

typedef struct customer {
    struct customer *next;
    char *id;
    char *token; /* NULL: not known */
    bool wanted, asked;
    int64_t quiet_ms; /* not before this is the token asked for, monotonic */
} customer;

struct cpl_customers {
    pthread_mutex_t lock;
    customer *first;
};

cpl_customers *cpl_customers_new(void) {
    cpl_customers *all = cpl_calloc(1, sizeof *all);
    if (all == NULL || pthread_mutex_init(&all->lock, NULL) == 0) return all;
    cpl_free(all);
    return NULL;
}

static void drop_token(customer *one) {
    if (one->token) cpl_wipe(one->token, strlen(one->token));
    cpl_free(one->token);
    one->token = NULL;
}

void cpl_customers_free(cpl_customers *all) {
    if (all == NULL) return;
    while (all->first) {
        customer *next = all->first->next;
        drop_token(all->first);
        cpl_free(all->first->id);
        cpl_free(all->first);
        all->first = next;
    }
    pthread_mutex_destroy(&all->lock);
    cpl_free(all);
}

static customer *find(const cpl_customers *all, cpl_str client_id) {
    customer *one = all->first;
    while (one && !cpl_str_is(client_id, one->id)) one = one->next;
    return one;
}

static customer *add(cpl_customers *all, cpl_str client_id) {
    customer *one = cpl_calloc(1, sizeof *one);
    if (one == NULL) return NULL;
    one->id = cpl_strdup(client_id);
    if (one->id == NULL) {
        cpl_free(one);
        return NULL;
    }
    one->next = all->first;
    return all->first = one;
}

const char *cpl_customers_named(cpl_customers *all, cpl_str client_id) {
    customer *one;
    pthread_mutex_lock(&all->lock);
    one = find(all, client_id);
    if (one == NULL) one = add(all, client_id);
    pthread_mutex_unlock(&all->lock);
    return one ? one->id : NULL;
}

cpl_status cpl_customers_token(cpl_customers *all, const char *client_id, cpl_buf *out, cpl_error *err) {
    customer *one;
    bool known;
    pthread_mutex_lock(&all->lock);
    one = find(all, cpl_str_of(client_id));
    known = one && one->token;
    if (known) cpl_buf_adds(out, one->token);
    if (one && !known && cpl_clock_monotonic_ms() >= one->quiet_ms) one->wanted = true;
    pthread_mutex_unlock(&all->lock);
    if (known) return CPL_OK;
    return cpl_fail(err, CPL_CREDENTIALS, "the client token of the customer \"%.100s\" is not known", client_id);
}

bool cpl_customers_has(cpl_customers *all, const char *client_id) {
    customer *one;
    bool known;
    pthread_mutex_lock(&all->lock);
    one = find(all, cpl_str_of(client_id));
    known = one && one->token;
    pthread_mutex_unlock(&all->lock);
    return known;
}

const char *cpl_customers_wanted(cpl_customers *all, bool asking) {
    customer *one;
    pthread_mutex_lock(&all->lock);
    one = all->first;
    while (one && !one->wanted) one = one->next;
    if (one && asking) one->asked = true;
    pthread_mutex_unlock(&all->lock);
    return one ? one->id : NULL;
}

static void take_token(customer *one, char *token) {
    drop_token(one);
    one->token = token;
    one->wanted = one->asked = false;
    one->quiet_ms = token ? 0 : cpl_clock_monotonic_ms() + MUTED_MS;
}

cpl_status cpl_customers_give(cpl_customers *all, cpl_str client_id, cpl_str token, cpl_error *err) {
    customer *one;
    char *copy = NULL;
    if (token.n > TOKEN_MAX || !cpl_utf8_valid(token) || cpl_str_find(token, '\0') != token.n) {
        return cpl_fail_at(err, CPL_INVALID, "clientToken", "the client token is no text of 1 to %d bytes", TOKEN_MAX);
    }
    if (token.n > 0) {
        copy = cpl_strdup(token);
        if (copy == NULL) return cpl_fail_nomem(err);
    }
    pthread_mutex_lock(&all->lock);
    one = find(all, client_id);
    if (one) take_token(one, copy);
    pthread_mutex_unlock(&all->lock);
    if (one) return CPL_OK;
    if (copy) cpl_wipe(copy, strlen(copy));
    cpl_free(copy);
    return cpl_fail_at(err, CPL_INVALID, "clientId", "no job of a customer \"%.*s\" was offered",
                       (int)cpl_utf8_cut(client_id, 100), client_id.p);
}

void cpl_customers_lapse(cpl_customers *all) {
    pthread_mutex_lock(&all->lock);
    for (customer *one = all->first; one; one = one->next) {
        if (one->asked) take_token(one, NULL);
    }
    pthread_mutex_unlock(&all->lock);
}

void cpl_customers_refuse(cpl_customers *all, const char *client_id) {
    customer *one;
    pthread_mutex_lock(&all->lock);
    one = find(all, cpl_str_of(client_id));
    if (one && one->token) {
        take_token(one, NULL);
        one->quiet_ms = cpl_clock_monotonic_ms() + REFUSED_MS;
    }
    pthread_mutex_unlock(&all->lock);
}
