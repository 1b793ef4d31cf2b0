/* SPDX-License-Identifier: MIT */
/*
 * The text of the shared files, taken apart by the rules of the SDKs and Tools guide: "[default]", "[profile x]",
 * "[sso-session x]" and "[services x]" in the config file, "[x]" in the credentials file; comments, continued and
 * nested properties. Sections and properties with names that are not valid are passed over; text that is neither
 * section nor property is an error.
 */
#ifndef CPL_PROFILES_H
#define CPL_PROFILES_H

#include "buf.h"

typedef enum cpl_profile_file { CPL_FILE_CONFIG, CPL_FILE_CREDENTIALS } cpl_profile_file;

typedef enum cpl_section_kind {
    CPL_SECTION_PROFILE,
    CPL_SECTION_SSO_SESSION,
    CPL_SECTION_SERVICES,
} cpl_section_kind;

typedef struct cpl_section {
    cpl_section_kind kind;
    cpl_profile_file file;
    bool prefixed; /* "[profile x]", not "[x]" */
    bool plain;    /* "[default]" of the config file: counts for nothing when it has "[profile default]" too */
    char *name;
} cpl_section;

typedef struct cpl_property {
    size_t section; /* index */
    char *key;      /* in lower case; a nested one is "s3 addressing_style" */
    char *value;    /* the lines of a continued one with "\n" in between */
} cpl_property;

typedef struct cpl_profiles { /* in the order of the text; a later one replaces an earlier one when looked up */
    cpl_section *sections;
    size_t section_count, section_cap;
    cpl_property *properties;
    size_t property_count, property_cap;
} cpl_profiles;

void cpl_profiles_init(cpl_profiles *profiles);
void cpl_profiles_release(cpl_profiles *profiles); /* wipes */
/*
 * Adds what the text of one file says; the credentials file comes second, because its properties go first. CPL_CONFIG
 * names the file (as path has it) and the line.
 */
cpl_status cpl_profiles_parse(cpl_profiles *profiles, cpl_profile_file file, const char *path, cpl_str text,
                              cpl_error *err);
bool cpl_profiles_has(const cpl_profiles *profiles, cpl_section_kind kind, const char *name);
/* NULL when absent. */
const char *cpl_profiles_find(const cpl_profiles *profiles, cpl_section_kind kind, const char *name, const char *key);
/* The same out of the file alone that has another property of that section, beside. */
const char *cpl_profiles_find_beside(const cpl_profiles *profiles, cpl_section_kind kind, const char *name,
                                     const char *key, const char *beside);

#endif
