/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include <errno.h>
#include <math.h>
#include <time.h>

#include "err.h"

#define DAY 86400
#define TICK_MS 100

static int64_t read_clock_ms(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t cpl_clock_wall_ms(void) {
    return read_clock_ms(CLOCK_REALTIME);
}

int64_t cpl_clock_monotonic_ms(void) {
    return read_clock_ms(CLOCK_MONOTONIC);
}

cpl_status cpl_clock_sleep(int64_t duration_ms, const cpl_wait *wait, cpl_error *err) {
    int64_t end = cpl_clock_monotonic_ms() + duration_ms;
    for (;;) {
        int64_t left = end - cpl_clock_monotonic_ms();
        struct timespec slice;
        if (wait && wait->tick && wait->tick(wait->context) != 0) return cpl_fail(err, CPL_CANCELLED, "cancelled");
        if (left <= 0) return CPL_OK;
        if (left > TICK_MS) left = TICK_MS;
        slice = (struct timespec){.tv_sec = 0, .tv_nsec = (long)left * 1000000};
        nanosleep(&slice, NULL); /* cut short by a signal: the tick hears of it sooner */
    }
}

bool cpl_clock_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    bool good = pthread_condattr_init(&attributes) == 0;
    if (!good) return false;
    good =
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return good;
}

void cpl_clock_await(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ms) {
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_cond_timedwait(condition, lock, &until);
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar, and back (H. Hinnant, "chrono-compatible
 * low-level date algorithms"). */
static int64_t days_from_civil(int64_t y, int m, int d) {
    int64_t era, year_of_era, day_of_year, day_of_era;
    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    year_of_era = y - era * 400;
    day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static cpl_civil civil_from_seconds(int64_t seconds) {
    int64_t days = seconds / DAY, rest = seconds % DAY;
    int64_t era, day_of_era, year_of_era, day_of_year, month;
    cpl_civil c = {.microsecond = 0};
    if (rest < 0) {
        rest += DAY;
        days--;
    }
    c.weekday = (int)(((days + 4) % 7 + 7) % 7);
    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    day_of_era = days - era * 146097;
    year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    month = (5 * day_of_year + 2) / 153;
    c.day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    c.month = (int)(month < 10 ? month + 3 : month - 9);
    c.year = (int)(year_of_era + era * 400 + (c.month <= 2));
    c.hour = (int)(rest / 3600);
    c.minute = (int)(rest / 60 % 60);
    c.second = (int)(rest % 60);
    return c;
}

bool cpl_civil_of(double seconds, cpl_civil *out) {
    double whole, rest = modf(seconds, &whole) * 1e6;
    rest = nearbyint(rest);
    if (rest < 0 || rest >= 1e6) {
        whole += rest < 0 ? -1 : 1;
        rest += rest < 0 ? 1e6 : -1e6;
    }
    if (!(whole >= -62135596800.0 && whole <= 253402300799.0)) return false;
    *out = civil_from_seconds((int64_t)whole);
    out->microsecond = (int)rest;
    return true;
}

/* Writes width digits of value; the caller keeps it in range. */
static char *digits(char *to, int value, int width) {
    for (int i = width - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return to + width;
}

void cpl_time_basic(int64_t seconds, char out[CPL_TIME_BASIC_SIZE]) {
    cpl_civil c = civil_from_seconds(seconds);
    char *p = digits(digits(digits(out, c.year, 4), c.month, 2), c.day, 2);
    *p++ = 'T';
    p = digits(digits(digits(p, c.hour, 2), c.minute, 2), c.second, 2);
    *p++ = 'Z';
    *p = '\0';
}

void cpl_time_iso(int64_t seconds, char out[CPL_TIME_ISO_SIZE]) {
    cpl_civil c = civil_from_seconds(seconds);
    static const char marks[] = "--T::Z";
    const int parts[] = {c.year, c.month, c.day, c.hour, c.minute, c.second};
    char *p = out;
    for (int i = 0; i < 6; i++) {
        p = digits(p, parts[i], i == 0 ? 4 : 2);
        *p++ = marks[i];
    }
    *p = '\0';
}

static const char day_names[] = "SunMonTueWedThuFriSat";
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

void cpl_time_http(int64_t seconds, char out[CPL_TIME_HTTP_SIZE]) {
    cpl_civil c = civil_from_seconds(seconds);
    snprintf(out, CPL_TIME_HTTP_SIZE, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", day_names + (size_t)c.weekday * 3,
             (unsigned)c.day % 100, month_names + (size_t)(c.month - 1) * 3, (unsigned)c.year % 10000,
             (unsigned)c.hour % 100, (unsigned)c.minute % 100, (unsigned)c.second % 100);
}

/* A reader over the text: each step consumes, and sets bad when it cannot. */
typedef struct reader {
    cpl_str rest;
    bool bad;
} reader;

static int read_digits(reader *r, size_t width) {
    int value = 0;
    if (r->rest.n < width) r->bad = true;
    for (size_t i = 0; i < width && !r->bad; i++) {
        char c = r->rest.p[i];
        if (c < '0' || c > '9') r->bad = true;
        value = value * 10 + (c - '0');
    }
    r->rest = cpl_str_sub(r->rest, width, r->rest.n);
    return r->bad ? 0 : value;
}

static bool accept(reader *r, char c) {
    if (r->bad || r->rest.n == 0 || r->rest.p[0] != c) return false;
    r->rest = cpl_str_sub(r->rest, 1, r->rest.n);
    return true;
}

static void need(reader *r, char c) {
    if (!accept(r, c)) r->bad = true;
}

static int read_month_name(reader *r) {
    for (int i = 0; i < 12 && r->rest.n >= 3; i++) {
        if (memcmp(month_names + (size_t)i * 3, r->rest.p, 3) == 0) {
            r->rest = cpl_str_sub(r->rest, 3, r->rest.n);
            return i + 1;
        }
    }
    r->bad = true;
    return 1;
}

static bool to_seconds(const cpl_civil *c, double *out) {
    if (c->month < 1 || c->month > 12 || c->day < 1 || c->day > 31 || c->hour > 24 || c->minute > 59 ||
        c->second > 60) {
        return false;
    }
    *out = (double)(days_from_civil(c->year, c->month, c->day) * DAY + c->hour * 3600 + c->minute * 60 + c->second);
    return true;
}

static bool parse_http(cpl_str text, double *out) {
    reader r = {cpl_str_sub(text, 5, text.n), false};
    cpl_civil c = {0};
    if (text.n < 5 || text.p[3] != ',') return false;
    c.day = read_digits(&r, 2);
    need(&r, ' ');
    c.month = read_month_name(&r);
    need(&r, ' ');
    c.year = read_digits(&r, 4);
    need(&r, ' ');
    c.hour = read_digits(&r, 2);
    need(&r, ':');
    c.minute = read_digits(&r, 2);
    need(&r, ':');
    c.second = read_digits(&r, 2);
    return !r.bad && cpl_str_is(r.rest, " GMT") && to_seconds(&c, out);
}

static double read_fraction(reader *r) {
    double value = 0, unit = 0.1;
    if (!accept(r, '.')) return 0;
    if (r->rest.n == 0 || r->rest.p[0] < '0' || r->rest.p[0] > '9') r->bad = true;
    while (r->rest.n > 0 && r->rest.p[0] >= '0' && r->rest.p[0] <= '9') {
        value += unit * (r->rest.p[0] - '0');
        unit /= 10;
        r->rest = cpl_str_sub(r->rest, 1, r->rest.n);
    }
    return value;
}

/* Seconds east of UTC. */
static int read_zone(reader *r) {
    int sign, hours, minutes;
    if (r->rest.n == 0 || accept(r, 'Z')) return 0;
    sign = accept(r, '-') ? -1 : 1;
    if (sign == 1) need(r, '+');
    hours = read_digits(r, 2);
    accept(r, ':');
    minutes = read_digits(r, 2);
    return sign * (hours * 3600 + minutes * 60);
}

static bool parse_iso(cpl_str text, double *out) {
    reader r = {text, false};
    cpl_civil c = {0};
    double fraction;
    int zone;
    bool extended;
    c.year = read_digits(&r, 4);
    extended = accept(&r, '-');
    c.month = read_digits(&r, 2);
    if (extended) need(&r, '-');
    c.day = read_digits(&r, 2);
    if (!accept(&r, 'T')) need(&r, ' ');
    c.hour = read_digits(&r, 2);
    if (extended) need(&r, ':');
    c.minute = read_digits(&r, 2);
    if (extended) need(&r, ':');
    c.second = read_digits(&r, 2);
    fraction = read_fraction(&r);
    zone = read_zone(&r);
    if (r.bad || r.rest.n > 0 || !to_seconds(&c, out)) return false;
    *out += fraction - zone;
    return true;
}

bool cpl_time_parse(cpl_str text, double *out) {
    return parse_http(text, out) || parse_iso(text, out);
}
