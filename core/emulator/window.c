/* SPDX-License-Identifier: MIT */
#include <time.h>

#include "rules.h"

/* The expressions of DeploymentWindow rules, in the order and with the numbers of Quartz: Sunday is 1. */

typedef struct field {
    int least, most;
    const char *names; /* three letters each, the first for least; NULL: numbers alone */
} field;

static const field fields[] = {
    {0, 59, NULL},
    {0, 59, NULL},
    {0, 23, NULL},
    {1, 31, NULL},
    {1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"},
    {1, 7, "SUNMONTUEWEDTHUFRISAT"},
    {1970, 2199, NULL},
};

static bool read_value(const field *f, cpl_str text, int *out) {
    int64_t number;
    if (cpl_str_integer(text, &number)) {
        *out = (int)number;
        return number >= f->least && number <= f->most;
    }
    for (int i = 0; f->names && text.n == 3 && f->least + i <= f->most; i++) {
        char name[4];
        CPL_COPY(name, text);
        if (cpl_str_is_nocase((cpl_str){f->names + (size_t)i * 3, 3}, name)) {
            *out = f->least + i;
            return true;
        }
    }
    return false;
}

typedef struct span {
    int first, last, step;
} span;

/* "*", "5", "1-5", "9-17/2", "0/15" */
static bool read_span(const field *f, cpl_str text, span *out) {
    size_t slash = cpl_str_find(text, '/');
    cpl_str range = cpl_str_sub(text, 0, slash);
    size_t dash = cpl_str_find(range, '-');
    int64_t step = 1;
    if (slash < text.n && (!cpl_str_integer(cpl_str_sub(text, slash + 1, text.n), &step) || step < 1 || step > 2199))
        return false;
    *out = (span){f->least, f->most, (int)step};
    if (cpl_str_is(range, "*") || cpl_str_is(range, "?")) return true;
    if (!read_value(f, cpl_str_sub(range, 0, dash), &out->first)) return false;
    if (dash < range.n) return read_value(f, cpl_str_sub(range, dash + 1, range.n), &out->last);
    if (slash == text.n) out->last = out->first;
    return true;
}

/* A range may go round the end: FRI-MON. */
static bool in_span(const field *f, const span *s, int value) {
    int size = f->most - f->least + 1;
    int length = (s->last - s->first + size) % size, at = (value - s->first + size) % size;
    return at <= length && at % s->step == 0;
}

/* false: the text is no field of this kind. */
static bool look_at_field(const field *f, cpl_str text, int value, bool *fits) {
    *fits = false;
    for (cpl_str rest = text;;) {
        size_t comma = cpl_str_find(rest, ',');
        span s;
        if (!read_span(f, cpl_str_sub(rest, 0, comma), &s)) return false;
        *fits = *fits || in_span(f, &s, value);
        if (comma == rest.n) return true;
        rest = cpl_str_sub(rest, comma + 1, rest.n);
    }
}

/* "UTC", "Z", "+05:30"; other zones have rules that only a zone database knows. */
static bool read_zone(cpl_str zone, int64_t *seconds) {
    int64_t hours, minutes;
    *seconds = 0;
    if (zone.n == 0 || cpl_str_is(zone, "UTC") || cpl_str_is(zone, "Etc/UTC") || cpl_str_is(zone, "GMT") ||
        cpl_str_is(zone, "Z"))
        return true;
    if (zone.n != 6 || (zone.p[0] != '+' && zone.p[0] != '-') || zone.p[3] != ':' ||
        !cpl_str_integer(cpl_str_sub(zone, 1, 3), &hours) || !cpl_str_integer(cpl_str_sub(zone, 4, 6), &minutes) ||
        hours < 0 || hours > 14 || minutes < 0 || minutes > 59) {
        return false;
    }
    *seconds = (hours * 60 + minutes) * (zone.p[0] == '-' ? -60 : 60);
    return true;
}

bool emu_window_look(cpl_str cron, cpl_str zone, int64_t now_s, bool *open, const char **problem) {
    int64_t offset;
    time_t at;
    struct tm tm;
    size_t n = 0;
    *open = true;
    *problem = "the TimeZone is none the emulator knows: UTC, or an offset as +05:30";
    if (!read_zone(zone, &offset)) return false;
    at = (time_t)(now_s + offset);
    *problem = "the time is none a calendar has";
    if (gmtime_r(&at, &tm) == NULL) return false;
    *problem = "Cron must have six or seven fields: seconds minutes hours day-of-month month day-of-week year";
    for (cpl_str rest = cpl_str_trim(cron); rest.n > 0; n++) {
        const int values[] = {tm.tm_sec,     tm.tm_min,      tm.tm_hour,       tm.tm_mday,
                              tm.tm_mon + 1, tm.tm_wday + 1, tm.tm_year + 1900};
        size_t end = cpl_str_find(rest, ' ');
        bool fits;
        if (n == CPL_COUNT(fields) || !look_at_field(&fields[n], cpl_str_sub(rest, 0, end), values[n], &fits))
            return false;
        *open = *open && fits;
        rest = cpl_str_trim(cpl_str_sub(rest, end, rest.n));
    }
    return n >= 6;
}
