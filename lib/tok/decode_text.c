/* decode_text.c - the other decoders: letters back to bytes, visible spaces back to
 * spaces, <0x0A> back to bytes, replacements, strings joined, characters at the ends
 * left out. */
#include "bytelevel.h"
#include "ft/err.h"
#include "replace.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- ByteLevel ---- */

/* What is not UTF-8 becomes U+FFFD, as when such text is read. */
static int append_utf8(struct tok_list *out, const char *s, size_t n)
{
	int rc = FT_OK;
	for (size_t i = 0, len; i < n && rc == FT_OK; i += len) {
		int32_t c;
		char bytes[4];
		len = ft_utf8_get(s + i, n - i, &c, NULL);
		rc = tok_list_append(out, bytes, ft_utf8_put(c, bytes));
	}
	return rc;
}

static int decode_bytes(const void *state, const struct tok_list *in, struct tok_list *out)
{
	struct ft_buf bytes = { 0 };
	int rc = FT_OK;
	(void)state;
	for (size_t i = 0; i < in->n && rc == FT_OK; i++) {
		struct ft_span s = tok_list_get(in, i);
		size_t len = 0;
		if ((rc = ft_buf_reserve(&bytes, s.n)) < 0)
			break;
		if (tok_bytes_read(s.p, s.n, (char *)bytes.data + bytes.len, &len))
			bytes.len += len;
		else
			rc = ft_buf_append(&bytes, s.p, s.n); /* an added token, written as it is */
	}
	if (rc == FT_OK)
		rc = append_utf8(out, (char *)bytes.data, bytes.len);
	ft_buf_free(&bytes);
	return rc == FT_OK ? tok_list_end(out) : rc;
}

const struct tok_stage_kind tok_decode_bytelevel = { "ByteLevel", .decode = decode_bytes };

/* ---- ByteFallback ---- */

/* The byte of "<0x0A>"; or -1. */
static int byte_of(struct ft_span s)
{
	if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>')
		return -1;
	char hex[3] = { s.p[3], s.p[4], '\0' };
	return isxdigit((unsigned char)hex[0]) && isxdigit((unsigned char)hex[1]) ? (int)strtol(hex, NULL, 16) : -1;
}

/* Bytes in a row are characters when they are UTF-8; else each is U+FFFD. */
static int flush_bytes(struct ft_buf *bytes, struct tok_list *out)
{
	int rc = FT_OK;
	if (bytes->len && !ft_utf8_invalid((char *)bytes->data, bytes->len))
		rc = tok_list_add(out, (char *)bytes->data, bytes->len);
	else
		for (size_t i = 0; i < bytes->len && rc == FT_OK; i++)
			rc = tok_list_add(out, "\xef\xbf\xbd", 3);
	bytes->len = 0;
	return rc;
}

static int decode_fallback(const void *state, const struct tok_list *in, struct tok_list *out)
{
	struct ft_buf bytes = { 0 };
	int rc = FT_OK;
	(void)state;
	for (size_t i = 0; i < in->n && rc == FT_OK; i++) {
		struct ft_span s = tok_list_get(in, i);
		int byte = byte_of(s);
		if (byte >= 0) {
			rc = ft_buf_append(&bytes, (char[]){ (char)byte }, 1);
			continue;
		}
		rc = flush_bytes(&bytes, out);
		if (rc == FT_OK)
			rc = tok_list_add(out, s.p, s.n);
	}
	if (rc == FT_OK)
		rc = flush_bytes(&bytes, out);
	ft_buf_free(&bytes);
	return rc;
}

const struct tok_stage_kind tok_decode_fallback = { "ByteFallback", .decode = decode_fallback };

/* ---- Fuse ---- */

static int decode_fuse(const void *state, const struct tok_list *in, struct tok_list *out)
{
	(void)state;
	return tok_list_add(out, (char *)in->text.data, in->text.len);
}

const struct tok_stage_kind tok_decode_fuse = { "Fuse", .decode = decode_fuse };

/* ---- Metaspace ---- */

struct metaspace { char bytes[4]; size_t n; bool prefix; };

static int load_metaspace(struct ft_tok *t, const json_t *v, void **state)
{
	int err = FT_OK;
	int32_t c = 0;
	struct metaspace *p = *state = ft_alloc(1, sizeof *p);
	(void)t;
	if (!p)
		return FT_EFAIL;
	bool prefix = ft_json_bool(v, "add_prefix_space", true, &err); /* older files */
	p->prefix = prefix && strcmp(ft_json_str(v, "prepend_scheme", "always", &err), "never") != 0;
	if (err < 0 || (err = tok_load_char(v, "replacement", &c)) < 0)
		return err;
	p->n = ft_utf8_put(c, p->bytes);
	return FT_OK;
}

/* Of the first string they are left out, as one of them was put there. */
static int decode_metaspace(const void *state, const struct tok_list *in, struct tok_list *out)
{
	const struct metaspace *p = state;
	int rc = FT_OK;
	for (size_t i = 0; i < in->n && rc == FT_OK; i++) {
		struct ft_span s = tok_list_get(in, i);
		for (const char *next; rc == FT_OK && (next = memmem(s.p, s.n, p->bytes, p->n));) {
			rc = tok_list_append(out, s.p, (size_t)(next - s.p));
			if (rc == FT_OK && !(i == 0 && p->prefix))
				rc = tok_list_append(out, " ", 1);
			s.n -= (size_t)(next - s.p) + p->n;
			s.p = next + p->n;
		}
		rc = rc == FT_OK ? tok_list_add(out, s.p, s.n) : rc;
	}
	return rc;
}

const struct tok_stage_kind tok_decode_metaspace = { "Metaspace", load_metaspace, NULL, .decode = decode_metaspace };

/* ---- Replace ---- */

static int decode_replace(const void *state, const struct tok_list *in, struct tok_list *out)
{
	const struct tok_replace *p = state;
	void *store = NULL;
	int rc = FT_OK;
	for (size_t i = 0; i < in->n && rc == FT_OK; i++) {
		struct ft_span s = tok_list_get(in, i);
		struct tok_search f = { .regex = p->pattern, .s = s.p, .n = s.n, .store = &store };
		size_t done = 0, from, to;
		int more;
		while (rc == FT_OK && s.n && (more = tok_search_next(&f, &from, &to)) != 0) {
			rc = more < 0 ? more : tok_list_append(out, s.p + done, from - done);
			if (rc == FT_OK)
				rc = tok_list_append(out, p->content, p->n);
			done = to;
		}
		rc = rc == FT_OK ? tok_list_add(out, s.p + done, s.n - done) : rc;
	}
	tok_search_free(store);
	return rc;
}

const struct tok_stage_kind tok_decode_replace = {
	"Replace", tok_replace_load, tok_replace_unload, .decode = decode_replace
};

/* ---- Strip ---- */

struct strip { char bytes[4]; size_t n; int64_t start, stop; };

static int load_strip(struct ft_tok *t, const json_t *v, void **state)
{
	int err = FT_OK;
	int32_t c = 0;
	struct strip *p = *state = ft_alloc(1, sizeof *p);
	(void)t;
	if (!p)
		return FT_EFAIL;
	p->start = ft_json_int(v, "start", 0, &err);
	p->stop = ft_json_int(v, "stop", 0, &err);
	if (err < 0 || (err = tok_load_char(v, "content", &c)) < 0)
		return err;
	if (p->start < 0 || p->stop < 0)
		return ft_fail(FT_EFORMAT, "start and stop must not be negative");
	p->n = ft_utf8_put(c, p->bytes);
	return FT_OK;
}

static int decode_strip(const void *state, const struct tok_list *in, struct tok_list *out)
{
	const struct strip *p = state;
	int rc = FT_OK;
	for (size_t i = 0; i < in->n && rc == FT_OK; i++) {
		struct ft_span s = tok_list_get(in, i);
		for (int64_t k = 0; k < p->start && s.n >= p->n && memcmp(s.p, p->bytes, p->n) == 0; k++) {
			s.p += p->n;
			s.n -= p->n;
		}
		for (int64_t k = 0; k < p->stop && s.n >= p->n && memcmp(s.p + s.n - p->n, p->bytes, p->n) == 0; k++)
			s.n -= p->n;
		rc = tok_list_add(out, s.p, s.n);
	}
	return rc;
}

const struct tok_stage_kind tok_decode_strip = { "Strip", load_strip, NULL, .decode = decode_strip };

/* ---- BPEDecoder ---- */

static int load_suffix(struct ft_tok *t, const json_t *v, void **state)
{
	int err = FT_OK;
	const char *suffix = ft_json_str(v, "suffix", "</w>", &err);
	(void)t;
	return err < 0 ? err : (*state = ft_strdup(suffix)) ? FT_OK : FT_EFAIL;
}

/* The end of a word becomes a space, but in the last token. */
static int decode_suffix(const void *state, const struct tok_list *in, struct tok_list *out)
{
	const char *suffix = state;
	size_t n = strlen(suffix);
	int rc = FT_OK;
	for (size_t i = 0; i < in->n && rc == FT_OK; i++) {
		struct ft_span s = tok_list_get(in, i);
		for (const char *next; rc == FT_OK && n && (next = memmem(s.p, s.n, suffix, n));) {
			rc = tok_list_append(out, s.p, (size_t)(next - s.p));
			if (rc == FT_OK && i + 1 < in->n)
				rc = tok_list_append(out, " ", 1);
			s.n -= (size_t)(next - s.p) + n;
			s.p = next + n;
		}
		rc = rc == FT_OK ? tok_list_add(out, s.p, s.n) : rc;
	}
	return rc;
}

const struct tok_stage_kind tok_decode_bpe = { "BPEDecoder", load_suffix, NULL, .decode = decode_suffix };
