/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "../../core/checksum.h"
#include "test.h"

/* Of "123456789": the check values of the catalogue of parametrised CRC algorithms, and of Python's hashlib. */
static const struct {
    cpl_checksum_kind kind;
    const char *text;
} rows[] = {{CPL_CHECKSUM_CRC32, "y/Q5Jg=="},
            {CPL_CHECKSUM_CRC32C, "4waSgw=="},
            {CPL_CHECKSUM_CRC64NVME, "rosUhgp5mIg="},
            {CPL_CHECKSUM_SHA256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="},
            {CPL_CHECKSUM_SHA1, "98O8HYCOBHMq32eZZczDTKeuNEE="},
            {CPL_CHECKSUM_MD5, "JfnnlDI7RTiF9RgfG2JNCw=="}};

TEST(t_checksum__each_gives_its_published_value) {
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        cpl_checksum sum;
        char text[CPL_CHECKSUM_TEXT_SIZE];
        NEED(cpl_checksum_init(&sum, rows[i].kind, NULL) == CPL_OK);
        cpl_checksum_add(&sum, "123456789", 9);
        cpl_checksum_text(&sum, text);
        CHECK_STR(text, rows[i].text);
    }
}

/* The bit by bit definition, for what the look-ups give. */
static uint64_t slow_crc(uint64_t poly, uint64_t ones, const unsigned char *p, size_t n) {
    uint64_t crc = ones;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ poly : crc >> 1;
    }
    return crc ^ ones;
}

TEST(t_checksum__pieces_of_any_length_give_what_the_definition_says) {
    static const struct {
        cpl_checksum_kind kind;
        uint64_t poly, ones;
        size_t size;
    } crcs[] = {{CPL_CHECKSUM_CRC32, 0xedb88320u, UINT32_MAX, 4},
                {CPL_CHECKSUM_CRC32C, 0x82f63b78u, UINT32_MAX, 4},
                {CPL_CHECKSUM_CRC64NVME, 0x9a6c9329ac4bc9b5u, UINT64_MAX, 8}};
    unsigned char bytes[300], out[CPL_CHECKSUM_SIZE];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 167 + (i >> 3));
    for (size_t i = 0; i < CPL_COUNT(crcs); i++) {
        for (size_t cut = 0; cut <= 40; cut++) {
            cpl_checksum sum;
            uint64_t want = slow_crc(crcs[i].poly, crcs[i].ones, bytes, sizeof bytes - cut), got = 0;
            NEED(cpl_checksum_init(&sum, crcs[i].kind, NULL) == CPL_OK);
            cpl_checksum_add(&sum, bytes, cut);
            cpl_checksum_add(&sum, bytes + cut, 1);
            cpl_checksum_add(&sum, bytes + cut + 1, sizeof bytes - 2 * cut - 1);
            CHECK(cpl_checksum_final(&sum, out) == crcs[i].size);
            for (size_t b = 0; b < crcs[i].size; b++) got = got << 8 | out[b];
            CHECK(got == want);
        }
    }
}

TEST(t_checksum__of_part_of_a_file_and_several_at_once) {
    char path[] = "/tmp/t_checksum-XXXXXX", text[CPL_CHECKSUM_TEXT_SIZE];
    int fd = mkstemp(path);
    cpl_checksum first, second, *const sums[] = {&first, &second};
    cpl_error err = {0};
    unlink(path);
    NEED(write(fd, "--123456789--", 13) == 13);
    NEED(cpl_checksum_init(&first, CPL_CHECKSUM_CRC64NVME, NULL) == CPL_OK);
    NEED(cpl_checksum_init(&second, CPL_CHECKSUM_SHA256, NULL) == CPL_OK);
    CHECK(cpl_checksum_add_file(sums, 2, (cpl_checksum_span){fd, 2, 9}, NULL, &err) == CPL_OK);
    CHECK(cpl_checksum_add_file(sums, 2, (cpl_checksum_span){fd, 2, 100}, NULL, &err) == CPL_IO &&
          strstr(err.message, "shorter"));
    cpl_checksum_release(&second);
    cpl_checksum_release(&second);
    NEED(cpl_checksum_init(&first, CPL_CHECKSUM_CRC64NVME, NULL) == CPL_OK);
    CHECK(cpl_checksum_add_file(sums, 1, (cpl_checksum_span){fd, 2, 9}, NULL, &err) == CPL_OK);
    cpl_checksum_text(&first, text);
    CHECK_STR(text, "rosUhgp5mIg=");
    close(fd);
}

TEST_MAIN
