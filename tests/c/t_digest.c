/* SPDX-License-Identifier: MIT */
#include "../../core/digest.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC_HASH "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define MILLION_HASH "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static void check_hex(const unsigned char *bytes, size_t n, const char *want) {
    char text[2 * CPL_SHA256_SIZE + 1];
    cpl_hex(bytes, n, text);
    CHECK_STR(text, want);
}

TEST(t_digest__sha256_gives_the_published_values) {
    char hex[CPL_SHA256_HEX_SIZE];
    CHECK(cpl_sha256_hex((cpl_str){NULL, 0}, hex, NULL) == CPL_OK);
    CHECK_STR(hex, EMPTY_HASH);
    CHECK(cpl_sha256_hex(CPL_LIT("abc"), hex, NULL) == CPL_OK);
    CHECK_STR(hex, ABC_HASH);
}

/* RFC 4231, cases 1, 2 and 6; then a key of just one block, and nothing at all. */
TEST(t_digest__hmac_gives_the_published_values) {
    static char key[131];
    static const struct {
        char fill;
        size_t n;
        cpl_str given, data;
        const char *want;
    } rows[] = {
        {0x0b, 20, {NULL, 0}, CPL_LIT("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {0, 0, CPL_LIT("Jefe"), CPL_LIT("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {(char)0xaa,
         131,
         {NULL, 0},
         CPL_LIT("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {'k', 64, {NULL, 0}, CPL_LIT("x"), "f91c4c403625fb06910ef93999265bbd2d62baeaec6ff36455498cc124fe3e66"},
        {0, 0, {NULL, 0}, {NULL, 0}, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        unsigned char mac[CPL_SHA256_SIZE];
        cpl_str with = rows[i].given.p ? rows[i].given : (cpl_str){key, rows[i].n};
        memset(key, rows[i].fill, sizeof key);
        CHECK(cpl_hmac_sha256(with, rows[i].data, mac, NULL) == CPL_OK);
        check_hex(mac, sizeof mac, rows[i].want);
    }
}

TEST(t_digest__pieces_give_the_same_as_the_whole) {
    char piece[1000];
    unsigned char digest[CPL_SHA256_SIZE];
    cpl_hash state;
    memset(piece, 'a', sizeof piece);
    NEED(cpl_hash_init(&state, CPL_HASH_SHA256, NULL) == CPL_OK);
    for (int i = 0; i < 1000; i++) cpl_hash_add(&state, piece, sizeof piece);
    cpl_hash_add(&state, NULL, 0);
    cpl_hash_final(&state, digest);
    check_hex(digest, sizeof digest, MILLION_HASH);
    cpl_hash_release(&state);
    cpl_hash_release(&state);
}

TEST(t_digest__more_hashes_at_once_than_are_kept_do_not_mix) {
    cpl_hash states[40];
    unsigned char digest[CPL_SHA256_SIZE];
    for (size_t i = 0; i < CPL_COUNT(states); i++) NEED(cpl_hash_init(&states[i], CPL_HASH_SHA256, NULL) == CPL_OK);
    for (size_t i = 0; i < CPL_COUNT(states); i++) cpl_hash_add(&states[i], "ab", 2);
    for (size_t i = 0; i < CPL_COUNT(states); i++) cpl_hash_add(&states[i], "c", 1);
    for (size_t i = 0; i < CPL_COUNT(states); i++) {
        cpl_hash_final(&states[i], digest);
        check_hex(digest, sizeof digest, ABC_HASH);
    }
}

TEST(t_digest__an_abandoned_hash_leaves_nothing_behind) {
    cpl_hash state;
    char hex[CPL_SHA256_HEX_SIZE];
    NEED(cpl_hash_init(&state, CPL_HASH_SHA256, NULL) == CPL_OK);
    cpl_hash_add(&state, "something", 9);
    cpl_hash_release(&state);
    CHECK(cpl_sha256_hex(CPL_LIT("abc"), hex, NULL) == CPL_OK);
    CHECK_STR(hex, ABC_HASH);
}

TEST(t_digest__md5_gives_the_published_values) {
    unsigned char digest[CPL_MD5_SIZE];
    CHECK(cpl_md5((cpl_str){NULL, 0}, digest, NULL) == CPL_OK);
    check_hex(digest, sizeof digest, "d41d8cd98f00b204e9800998ecf8427e");
    CHECK(cpl_md5(CPL_LIT("abc"), digest, NULL) == CPL_OK);
    check_hex(digest, sizeof digest, "900150983cd24fb0d6963f7d28e17f72");
}

/* ---- ES256 ---- */

/* RFC 7515, A.3 */
#define RFC_7515_KEY                                                     \
    "-----BEGIN EC PRIVATE KEY-----\n"                                   \
    "MHcCAQEEII6bEJ5xkJi/mASH3x9dd+nLKWBuvtImO19XwhPfhPSyoAoGCCqGSM49\n" \
    "AwEHoUQDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72b\n" \
    "focs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"                             \
    "-----END EC PRIVATE KEY-----\n"

#define ENCRYPTED_KEY                                                    \
    "-----BEGIN EC PRIVATE KEY-----\n"                                   \
    "Proc-Type: 4,ENCRYPTED\n"                                           \
    "DEK-Info: AES-128-CBC,EAD1883EF7A454FE836890859D32BFF4\n"           \
    "\n"                                                                 \
    "otJy4ELQflyL9ei6jlNkMbQCWzHcUfN3hFlK4llY98HdP+SRH2ou/KTgT1EFCDz6\n" \
    "Acmxbnqxg29gAV7KLFJ5HG/HztaywbsPzRBARTYZNIiOQIJX3zNOH6HviH9/Xpuv\n" \
    "Is8s0UJ7jUgZSyY5fx4267fvFMUaKIn7d95g6uDEkpM=\n"                     \
    "-----END EC PRIVATE KEY-----\n"

#define P384_KEY                                                         \
    "-----BEGIN EC PRIVATE KEY-----\n"                                   \
    "MIGkAgEBBDArxaK7gddvML757UbVpzhHteSKza9q2g32vXbajmv3SxaRdHsYrjfP\n" \
    "zuR0jOeeT6agBwYFK4EEACKhZANiAASsN80v4862r5Wkozw//PyaFanQUoR9Eu6s\n" \
    "HDdHDrYKE4wGfz0eiEL/QoUP1pOdNZf5wkY0pRi88zL8eX3ikUX0lB+Ia52SghKP\n" \
    "69S6hvZgfCTkJva7FJC/DWCuLpV1IVA=\n"                                 \
    "-----END EC PRIVATE KEY-----\n"

static bool is_signed(const char *data, const unsigned char signature[CPL_ES256_SIZE]) {
    BIO *text = BIO_new_mem_buf(RFC_7515_KEY, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, NULL, NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    ECDSA_SIG *pair = ECDSA_SIG_new();
    unsigned char *encoded = NULL;
    int n;
    bool good;
    ECDSA_SIG_set0(pair, BN_bin2bn(signature, 32, NULL), BN_bin2bn(signature + 32, 32, NULL));
    n = i2d_ECDSA_SIG(pair, &encoded);
    good = EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
           EVP_DigestVerify(context, encoded, (size_t)n, (const unsigned char *)data, strlen(data)) == 1;
    OPENSSL_free(encoded);
    ECDSA_SIG_free(pair);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    BIO_free(text);
    return good;
}

TEST(t_digest__es256_signs_with_the_key_of_the_rfc) {
    static const char point[] =
        "7fcdce2770f6c45d4183cbee6fdb4b7b580733357be9ef13bacf6e3c7bd15445"
        "c7f144cd1bbd9b7e872cdfedb9eeb9f4b3695d6ea90b24ad8a4623288588e5ad";
    unsigned char out[CPL_ES256_SIZE];
    char hex[2 * CPL_ES256_SIZE + 1];
    NEED(cpl_es256_public(CPL_LIT(RFC_7515_KEY), out, NULL) == CPL_OK);
    cpl_hex(out, sizeof out, hex);
    CHECK_STR(hex, point);
    for (int i = 0; i < 300; i++) { /* now and then a number has a zero in front */
        NEED(cpl_es256_sign(CPL_LIT(RFC_7515_KEY), CPL_LIT("some text"), out, NULL) == CPL_OK);
        CHECK(is_signed("some text", out));
    }
    CHECK(!is_signed("other text", out));
}

TEST(t_digest__es256_refuses_what_is_no_key_of_its_curve) {
    static const char *const bad[] = {"", "key", "-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n",
                                      ENCRYPTED_KEY, P384_KEY};
    unsigned char out[CPL_ES256_SIZE];
    for (size_t i = 0; i < CPL_COUNT(bad); i++) {
        CHECK(cpl_es256_public(cpl_str_of(bad[i]), out, NULL) == CPL_INVALID);
        CHECK(cpl_es256_sign(cpl_str_of(bad[i]), CPL_LIT("x"), out, NULL) == CPL_INVALID);
    }
}

TEST(t_digest__sha1_gives_the_published_values) {
    char hex[CPL_SHA1_HEX_SIZE];
    CHECK(cpl_sha1_hex((cpl_str){NULL, 0}, hex, NULL) == CPL_OK);
    CHECK_STR(hex, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    CHECK(cpl_sha1_hex(CPL_LIT("abc"), hex, NULL) == CPL_OK);
    CHECK_STR(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

TEST(t_digest__secrets_are_equal_when_all_their_bytes_are) {
    CHECK(cpl_secret_eq(CPL_LIT("abc"), CPL_LIT("abc")));
    CHECK(!cpl_secret_eq(CPL_LIT("abc"), CPL_LIT("abd")));
    CHECK(!cpl_secret_eq(CPL_LIT("abc"), CPL_LIT("ab")));
    CHECK(cpl_secret_eq((cpl_str){NULL, 0}, CPL_LIT("")));
}

TEST(t_digest__random_bytes_fill_any_size_and_do_not_repeat) {
    unsigned char one[1000] = {0}, two[1000] = {0};
    size_t zeros = 0;
    CHECK(cpl_random(one, sizeof one, NULL) == CPL_OK);
    CHECK(cpl_random(two, sizeof two, NULL) == CPL_OK);
    CHECK(cpl_random(NULL, 0, NULL) == CPL_OK);
    CHECK(memcmp(one, two, sizeof one) != 0);
    for (size_t i = 0; i < sizeof one; i++) zeros += one[i] == 0;
    CHECK(zeros < 50); /* four are to be expected */
}

TEST(t_digest__a_uuid_is_of_version_4) {
    char one[CPL_UUID_SIZE], two[CPL_UUID_SIZE];
    CHECK(cpl_uuid(one, NULL) == CPL_OK);
    CHECK(cpl_uuid(two, NULL) == CPL_OK);
    CHECK(strlen(one) == 36 && strcmp(one, two) != 0);
    CHECK(strspn(one, "0123456789abcdef-") == 36);
    CHECK(one[8] == '-' && one[13] == '-' && one[18] == '-' && one[23] == '-');
    CHECK(one[14] == '4' && strchr("89ab", one[19]) != NULL);
}

/* More than are fetched at a time, and the child's are none that the parent would have had next. */
TEST(t_digest__ids_for_logs_do_not_repeat_in_a_process_or_its_child) {
    enum { COUNT = 40 };
    char ids[2 * COUNT][CPL_UUID_SIZE];
    int pipes[2], state;
    bool good = true;
    pid_t child;
    CHECK(cpl_uuid_for_logs(ids[0], NULL) == CPL_OK);
    CHECK(strlen(ids[0]) == 36 && ids[0][14] == '4');
    NEED(pipe(pipes) == 0);
    child = fork();
    for (size_t i = 0; i < COUNT; i++) {
        good = cpl_uuid_for_logs(ids[i], NULL) == CPL_OK && good;
    }
    if (child == 0) _exit(good && write(pipes[1], ids, COUNT * sizeof *ids) == COUNT * sizeof *ids ? 0 : 1);
    NEED(good && child > 0 && waitpid(child, &state, 0) == child && WIFEXITED(state) && WEXITSTATUS(state) == 0);
    NEED(read(pipes[0], (char *)ids + COUNT * sizeof *ids, COUNT * sizeof *ids) == (ssize_t)(COUNT * sizeof *ids));
    close(pipes[0]);
    close(pipes[1]);
    for (size_t i = 0; i < 2 * COUNT; i++) {
        for (size_t k = 0; k < i; k++) CHECK(strcmp(ids[i], ids[k]) != 0);
    }
}

TEST(t_digest__hexadecimal_comes_back) {
    static const char *const wrong[] = {"0", "0g", "g0", "00 ", "-1"};
    cpl_buf out;
    cpl_buf_init(&out, 16);
    CHECK(cpl_unhex(&out, CPL_LIT("00ffAbcD")) && out.n == 4 && memcmp(out.p, "\x00\xff\xab\xcd", 4) == 0);
    cpl_buf_clear(&out);
    CHECK(cpl_unhex(&out, CPL_LIT("")) && out.n == 0);
    for (size_t i = 0; i < CPL_COUNT(wrong); i++) CHECK(!cpl_unhex(&out, cpl_str_of(wrong[i])));
    cpl_buf_release(&out);
}

/* RFC 4648, section 10 */
TEST(t_digest__base64_gives_the_published_values) {
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        cpl_buf text;
        cpl_buf_init(&text, 100);
        cpl_base64(&text, rows[i][0], strlen(rows[i][0]));
        CHECK_STR(cpl_buf_cstr(&text), rows[i][1]);
        cpl_buf_clear(&text);
        CHECK(cpl_base64_decode(&text, cpl_str_of(rows[i][1])));
        CHECK_STR(cpl_buf_cstr(&text), rows[i][0]);
        cpl_buf_release(&text);
    }
}

TEST(t_digest__what_is_not_base64_is_refused) {
    static const char *const wrong[] = {
        "Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "====", "Zh==", "Zm9=", "Zm 9", "Zm9-", "Zm9\n"};
    cpl_buf bytes;
    cpl_buf_init(&bytes, 100);
    for (size_t i = 0; i < CPL_COUNT(wrong); i++) {
        if (!CHECK(!cpl_base64_decode(&bytes, cpl_str_of(wrong[i])))) printf("  %s\n", wrong[i]);
    }
    CHECK(!cpl_base64_decode(&bytes, CPL_LIT("Zm\0v")));
    cpl_buf_release(&bytes);
}

static void *hash_often(void *argument) {
    char hex[CPL_SHA256_HEX_SIZE];
    (void)argument;
    for (int i = 0; i < 5000; i++) {
        if (cpl_sha256_hex(CPL_LIT("abc"), hex, NULL) || strcmp(hex, ABC_HASH) != 0) return hash_often;
    }
    return NULL;
}

TEST(t_digest__a_child_forked_among_hashing_threads_can_hash) {
    pthread_t threads[4];
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    SKIP("the sanitizer's own locks do not survive a fork among threads");
#endif
    NEED(hash_often(NULL) == NULL); /* the one fetch is OpenSSL's to lock; what counts is every hash after it */
    for (size_t i = 0; i < CPL_COUNT(threads); i++) pthread_create(&threads[i], NULL, hash_often, NULL);
    for (int i = 0; i < 20; i++) {
        int how = -1;
        pid_t child = fork();
        if (child == 0) {
            alarm(10);
            _exit(hash_often(NULL) == NULL ? 0 : 1);
        }
        CHECK(child > 0 && waitpid(child, &how, 0) == child && how == 0);
    }
    for (size_t i = 0; i < CPL_COUNT(threads); i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
}

TEST_MAIN
