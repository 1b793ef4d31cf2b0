/* SPDX-License-Identifier: MIT */
/* The config file and, behind the first NUL, the credentials file. */
#include "../../core/profiles.h"
#include "fuzz.h"

static void look(const cpl_profiles *profiles) {
    for (size_t i = 0; i < profiles->property_count; i++) {
        const cpl_property *property = &profiles->properties[i];
        const cpl_section *section;
        MUST(property->section < profiles->section_count);
        section = &profiles->sections[property->section];
        MUST(property->key && property->value && section->name);
        if (cpl_profiles_has(profiles, section->kind, section->name))
            cpl_profiles_find(profiles, section->kind, section->name, property->key);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_str rest = input_of(data, size), config = take_until(&rest, '\0');
    cpl_profiles profiles;
    cpl_error err = {0};
    cpl_profiles_init(&profiles);
    if (cpl_profiles_parse(&profiles, CPL_FILE_CONFIG, "config", config, &err) == CPL_OK &&
        cpl_profiles_parse(&profiles, CPL_FILE_CREDENTIALS, "credentials", rest, &err) == CPL_OK) {
        look(&profiles);
        cpl_profiles_find(&profiles, CPL_SECTION_PROFILE, "default", "region");
    } else {
        MUST(err.status == CPL_CONFIG && err.message[0]);
    }
    cpl_profiles_release(&profiles);
    return 0;
}
