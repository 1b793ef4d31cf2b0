/* SPDX-License-Identifier: MIT */
/* The codepipeline-event command. */
#include <getopt.h>

#include "base.h"

static const struct {
    const char *name;
    size_t member;
    const char *help;
} known[] = {
#define OPTION(member) offsetof(cpl_job_event_options, member)
    {"account-id", OPTION(account_id), "DIGITS           the pipeline's account (123456789012)"},
    {"input-bucket", OPTION(input_bucket), "NAME           where the input is (example-bucket)"},
    {"input-key", OPTION(input_key), "KEY               (test/key)"},
    {"output-bucket", OPTION(output_bucket), "NAME          where the output goes (example-bucket2)"},
    {"output-key", OPTION(output_key), "KEY              (test/key2)"},
    {"id", OPTION(id), "ID                       of the job"},
    {"function-name", OPTION(function_name), "NAME          (my-function)"},
    {"user-parameters", OPTION(user_parameters), "TEXT        the action's UserParameters (none)"},
    {"continuation-token", OPTION(continuation_token), "TEXT     (none)"},
    {"encryption-key", OPTION(encryption_key), "ARN          of a KMS key (none)"},
#undef OPTION
};

static const char usage[] = "usage: codepipeline-event [OPTION...]\n";

static void print_help(void) {
    printf("%s\nPrints the event with which CodePipeline would invoke a Lambda function. For tests.\n\n", usage);
    for (size_t i = 0; i < CPL_COUNT(known); i++) printf("  --%s %s\n", known[i].name, known[i].help);
    fputs("  --help, --version\n", stdout);
}

static void add_options(struct option *options) {
    for (size_t i = 0; i < CPL_COUNT(known); i++) {
        options[i] = (struct option){known[i].name, required_argument, NULL, (int)i};
    }
    options[CPL_COUNT(known)] = (struct option){"help", no_argument, NULL, 'H'};
    options[CPL_COUNT(known) + 1] = (struct option){"version", no_argument, NULL, 'v'};
}

typedef enum outcome { PRINT, DONE, MISUSED } outcome;

static outcome read_options(int argc, char **argv, cpl_job_event_options *out) {
    struct option options[CPL_COUNT(known) + 3] = {{0}};
    int option;
    add_options(options);
    optind = 0; /* begins anew, also when the process has parsed options before */
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        cpl_str value = cpl_str_of(optarg);
        if (option == 'H') return print_help(), DONE;
        if (option == 'v') return printf("codepipeline-event %s\n", CPL_VERSION), DONE;
        if (option == '?') return fputs(usage, stderr), MISUSED;
        memcpy((char *)out + known[option].member, &value, sizeof value);
    }
    if (optind == argc) return PRINT;
    fprintf(stderr, "codepipeline-event: unexpected argument \"%s\"\n%s", argv[optind], usage);
    return MISUSED;
}

static int print_sample(const cpl_job_event_options *options) {
    cpl_job_event *event = NULL;
    cpl_error err;
    if (cpl_job_event_sample(&event, options, &err)) {
        fprintf(stderr, "codepipeline-event: %s\n", err.message);
        return err.status == CPL_INVALID ? 2 : 1;
    }
    fputs(cpl_job_event_text(event).p, stdout);
    cpl_job_event_free(event);
    return 0;
}

int cpl_job_event_main(int argc, char **argv) {
    cpl_job_event_options options = {0};
    int status = 2;
    switch (read_options(argc, argv, &options)) {
    case PRINT: status = print_sample(&options); break;
    case DONE: status = 0; break;
    case MISUSED: break;
    }
    return fflush(stdout) == 0 ? status : 1;
}
