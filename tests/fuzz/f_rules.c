/* SPDX-License-Identifier: MIT */
/* The small languages of the emulator. Lines: a deployment window, its zone, an address range, an address, a JSON path,
 * the value wanted; then the event. */
#include "../../core/emulator/rules.h"
#include "../../core/emulator/webhook.h"
#include "fuzz.h"

static void look_at_window(cpl_str cron, cpl_str zone) {
    const char *problem = NULL;
    bool open = false;
    for (int64_t now_s = 1700000000; now_s < 1900000000; now_s += 33333333) {
        if (!emu_window_look(cron, zone, now_s, &open, &problem)) MUST(problem && problem[0]);
    }
}

static void look_at_address(cpl_str range, cpl_str address) {
    char *text = cpl_strdup(range);
    MUST(text != NULL);
    if (emu_ip_in_range(text, address)) MUST(emu_ip_range_valid(text));
    cpl_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_str rest = input_of(data, size), lines[6];
    cpl_json *event = NULL;
    for (size_t i = 0; i < CPL_COUNT(lines); i++) lines[i] = take_until(&rest, '\n');
    look_at_window(lines[0], lines[1].n > 0 ? lines[1] : (cpl_str){NULL, 0});
    look_at_address(lines[2], lines[3]);
    if (emu_json_path_valid(lines[4]) && cpl_json_parse(rest, &event, NULL) == CPL_OK) {
        if (emu_json_path_matches(lines[4], event, &lines[5])) MUST(emu_json_path_matches(lines[4], event, NULL));
    }
    cpl_json_free(event);
    return 0;
}
