/* SPDX-License-Identifier: MIT */
/* One S3 request on its way through the s3*.c files, which alone include this. */
#ifndef CPL_EMU_S3_CALL_H
#define CPL_EMU_S3_CALL_H

#include "../checksum.h"
#include "../err.h"
#include "../xml.h"
#include "auth.h"

#define S3_PARAMS_MAX 64
#define S3_KEY_MAX 1024
#define S3_OBJECT_MAX EMU_BODY_MAX
#define S3_NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"

typedef struct s3_call {
    emu *e;
    emu_store *store;
    const emu_request *request;
    emu_response *response;
    emu_identity who;
    const char *resource; /* "/bucket/key" */
    const char *bucket;   /* "" for the service itself */
    const char *object;   /* "bucket/key", the key of EMU_OBJECT */
    const char *key;      /* "" for a bucket */
    cpl_header params[S3_PARAMS_MAX];
    size_t param_count;
    cpl_buf decoded; /* what the texts above point into */
    cpl_str payload; /* the body, decoded and checked */
    cpl_buf unchunked;
    cpl_header checksum; /* the one that was checked: "x-amz-checksum-crc32" and its value */
    cpl_buf trailer;     /* "name NUL value NUL" of a chunked body */
} s3_call;

#define S3_FAULTS(X)                                                                                                  \
    X(NO_SUCH_BUCKET, "NoSuchBucket", 404, "The specified bucket does not exist")                                     \
    X(NO_SUCH_KEY, "NoSuchKey", 404, "The specified key does not exist.")                                             \
    X(NO_SUCH_VERSION, "NoSuchVersion", 404, "The specified version does not exist.")                                 \
    X(NO_SUCH_UPLOAD, "NoSuchUpload", 404,                                                                            \
      "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "    \
      "completed.")                                                                                                   \
    X(BUCKET_OWNED, "BucketAlreadyOwnedByYou", 409,                                                                   \
      "Your previous request to create the named bucket succeeded and you already own it.")                           \
    X(BUCKET_NOT_EMPTY, "BucketNotEmpty", 409, "The bucket you tried to delete is not empty")                         \
    X(BUCKET_NAME, "InvalidBucketName", 400, "The specified bucket is not valid.")                                    \
    X(LOCATION, "IllegalLocationConstraintException", 400,                                                            \
      "The location constraint is incompatible for the region specific endpoint this request was sent to.")           \
    X(KEY_TOO_LONG, "KeyTooLongError", 400, "Your key is too long")                                                   \
    X(URI, "InvalidURI", 400, "Couldn't parse the specified URI.")                                                    \
    X(ARGUMENT, "InvalidArgument", 400, "Invalid Argument")                                                           \
    X(INVALID_REQUEST, "InvalidRequest", 400, "Invalid Request")                                                      \
    X(PART, "InvalidPart", 400,                                                                                       \
      "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified " \
      "entity tag may not match the part's entity tag.")                                                              \
    X(PART_ORDER, "InvalidPartOrder", 400,                                                                            \
      "The list of parts was not in ascending order. Parts must be ordered by part number.")                          \
    X(TOO_SMALL, "EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size")              \
    X(TOO_LARGE, "EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size")                      \
    X(RANGE, "InvalidRange", 416, "The requested range is not satisfiable")                                           \
    X(PRECONDITION, "PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold")       \
    X(NOT_MODIFIED, "NotModified", 304, "Not Modified")                                                               \
    X(XML, "MalformedXML", 400,                                                                                       \
      "The XML you provided was not well-formed or did not validate against our published schema")                    \
    X(DIGEST_FORM, "InvalidDigest", 400, "The Content-MD5 you specified was invalid.")                                \
    X(DIGEST, "BadDigest", 400, "The Content-MD5 you specified did not match what we received.")                      \
    X(SHA256, "XAmzContentSHA256Mismatch", 400,                                                                       \
      "The provided 'x-amz-content-sha256' header does not match what was computed.")                                 \
    X(SIGNATURE, "SignatureDoesNotMatch", 403,                                                                        \
      "The request signature we calculated does not match the signature you provided. Check your key and signing "    \
      "method.")                                                                                                      \
    X(TRAILER, "MalformedTrailerError", 400,                                                                          \
      "The request contained trailing data that was not well-formed or did not conform to our published schema.")     \
    X(INCOMPLETE, "IncompleteBody", 400, "The request body terminated unexpectedly")                                  \
    X(DENIED, "AccessDenied", 403, "Access Denied")                                                                   \
    X(METHOD, "MethodNotAllowed", 405, "The specified method is not allowed against this resource.")                  \
    X(NOT_EMULATED, "NotImplemented", 501, "the emulator does not do this yet")                                       \
    X(INTERNAL, "InternalError", 500, "the emulator is out of memory")

typedef enum s3_fault {
#define X(name, code, status, message) S3_##name,
    S3_FAULTS(X)
#undef X
} s3_fault;

/* Answer with an error; always false. */
bool s3_refuse(s3_call *c, s3_fault fault);
bool s3_refuse_as(s3_call *c, s3_fault fault, const char *format, ...) CPL_PRINTF(3, 4);

/* A query parameter, decoded; the absent view when there is none. */
cpl_str s3_param(const s3_call *c, const char *name);
/* The same as a number in [low, high]; fallback when absent. False: refused. */
bool s3_param_number(s3_call *c, const char *name, int64_t fallback, int64_t high, int64_t *out);
cpl_str s3_header(const s3_call *c, const char *name);
/* Appends text with %XX undone, and a NUL. */
void s3_decode(cpl_buf *out, cpl_str text, bool plus_is_space);
/* Begins an XML answer: <?xml ...?><root xmlns=...>. */
cpl_buf *s3_xml(s3_call *c, const char *root);
/* Seconds since 1970 as S3 writes them: "2015-08-30T12:36:00.000Z". */
void s3_add_time(cpl_buf *out, const char *element, double seconds);
/* Parses a body of XML, or refuses. */
cpl_xml *s3_read_xml(s3_call *c);

/* s3_payload.c: undoes aws-chunked, checks every digest the request gave. False: refused. */
bool s3_read_payload(s3_call *c);

/* ---- checksums (s3_checksums.c) ---- */

/* "CRC32"; false: there is none of that name. */
bool s3_checksum_named(cpl_str name, cpl_checksum_kind *out);
bool s3_checksum_of(cpl_checksum_kind kind, cpl_str bytes, char out[CPL_CHECKSUM_TEXT_SIZE]);
/* The one that the document of an object or a part has. */
bool s3_checksum_kept(const cpl_json *doc, cpl_checksum_kind *kind, cpl_str *value);
/* Gives it one, of bytes. False: out of memory. */
bool s3_checksum_keep(cpl_json *doc, cpl_checksum_kind kind, cpl_str bytes);
void s3_answer_checksum(s3_call *c, const cpl_json *doc);            /* as headers */
void s3_add_checksum(cpl_buf *out, const cpl_json *doc, bool typed); /* as elements */
/* Notes what kind of checksum a new upload shall have. False: refused. */
bool s3_begin_checksum(s3_call *c, cpl_json *upload);
/* Gives a part its checksum. False: refused, because the request gave one of another kind. */
bool s3_part_checksum(s3_call *c, const cpl_json *upload, cpl_json *part, cpl_str bytes);
/* A part as CompleteMultipartUpload lists it: element number at of xml; and as it is kept. */
typedef struct s3_listed_part {
    const cpl_xml *xml;
    int at;
    const cpl_json *kept;
} s3_listed_part;
bool s3_check_listed_part(s3_call *c, const cpl_json *upload, const s3_listed_part *listed);
/* The object that was made of parts; checksums: theirs as bytes, one after the other. */
typedef struct s3_parts_made {
    cpl_str body, checksums;
    int count;
} s3_parts_made;
/* Gives the object its checksum, and compares it with the request's. False: refused. */
bool s3_complete_checksum(s3_call *c, const cpl_json *upload, cpl_json *doc, const s3_parts_made *made);

/* ---- objects (s3_objects.c) ---- */

/* A fresh object's document from the request's headers; NULL: refused. */
cpl_json *s3_new_document(s3_call *c);
/* What a write needs: body may point into the store. */
typedef struct s3_write {
    const char *bucket, *key;
    cpl_json *doc; /* with "headers" and "etag"; taken over, also when it fails */
    cpl_str body;
} s3_write;
/* Makes it the current version. Out of memory: false. */
bool s3_store(emu *e, const s3_write *w);
/* "\"d41d8cd98f...\"" and NUL. */
#define S3_ETAG_SIZE 35
bool s3_etag(cpl_str body, char out[S3_ETAG_SIZE]);
/*
 * Removes an object, or one version of it; what was done goes into the two (marker: a delete marker was made or
 * removed).
 */
typedef struct s3_removal {
    char version_id[CPL_UUID_SIZE];
    bool marker;
} s3_removal;
bool s3_remove(emu *e, const char *object, cpl_str version_id, s3_removal *out);
/* Document and body of the object that x-amz-copy-source names; NULL: refused. */
cpl_json *s3_copy_source(s3_call *c, cpl_str *body);
/* What a Range header asks for: bytes [from, to). Several ranges, or what is no range, mean all, as S3 has it. */
typedef enum s3_range_kind { S3_RANGE_ALL, S3_RANGE_PART, S3_RANGE_BAD } s3_range_kind;
s3_range_kind s3_read_range(cpl_str text, size_t size, size_t *from, size_t *to);
const char *s3_version_of(const cpl_json *doc); /* "null" when it has none */

/* ---- handlers: they answer, or refuse (false) ---- */

typedef bool (*s3_handler)(s3_call *c);
bool s3_list_buckets(s3_call *c);
bool s3_create_bucket(s3_call *c);
bool s3_head_bucket(s3_call *c);
bool s3_delete_bucket(s3_call *c);
bool s3_get_location(s3_call *c);
bool s3_get_versioning(s3_call *c);
bool s3_put_versioning(s3_call *c);
bool s3_list_v1(s3_call *c);
bool s3_list_v2(s3_call *c);
bool s3_list_versions(s3_call *c);
bool s3_put_object(s3_call *c);
bool s3_get_object(s3_call *c);
bool s3_delete_object(s3_call *c);
bool s3_delete_objects(s3_call *c);
bool s3_create_upload(s3_call *c);
bool s3_upload_part(s3_call *c);
bool s3_list_parts(s3_call *c);
bool s3_list_uploads(s3_call *c);
bool s3_complete_upload(s3_call *c);
bool s3_abort_upload(s3_call *c);

#endif
