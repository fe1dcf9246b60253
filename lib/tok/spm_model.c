/* spm_model.c - SentencePiece's .model files: a ModelProto of sentencepiece_model.proto
 * in protobuf's wire format, of which only what decides the ids is read.
 */
#include "ft/err.h"
#include "spm.h"

#include <stdlib.h>
#include <string.h>

/* ---- the wire ---- */

struct wire { const unsigned char *at, *end; };
struct field {
	uint64_t number, value; /* value of a varint, or the bits of a fixed one */
	int type;               /* WIRE_... */
	struct ft_span bytes;   /* WIRE_BYTES */
};
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static bool get_varint(struct wire *w, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; shift < 64 && w->at < w->end; shift += 7) {
		unsigned char c = *w->at++;
		*v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return shift < 63 || c < 2;
	}
	return false;
}

static bool get_fixed(struct wire *w, size_t n, uint64_t *v)
{
	if ((size_t)(w->end - w->at) < n)
		return false;
	*v = 0;
	for (size_t i = n; i--;)
		*v = *v << 8 | w->at[i];
	w->at += n;
	return true;
}

/* 1: a field; 0: the end; -1: malformed. */
static int next_field(struct wire *w, struct field *f)
{
	uint64_t tag;
	if (w->at == w->end)
		return 0;
	if (!get_varint(w, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
		return -1;
	*f = (struct field){ .number = tag >> 3, .type = (int)(tag & 7) };
	switch (f->type) {
	case WIRE_VARINT: return get_varint(w, &f->value) ? 1 : -1;
	case WIRE_64: return get_fixed(w, 8, &f->value) ? 1 : -1;
	case WIRE_32: return get_fixed(w, 4, &f->value) ? 1 : -1;
	case WIRE_BYTES:
		if (!get_varint(w, &f->value) || f->value > (uint64_t)(w->end - w->at))
			return -1;
		f->bytes = (struct ft_span){ (const char *)w->at, (size_t)f->value };
		w->at += f->value;
		return 1;
	default: return -1; /* groups are in no such file */
	}
}

/* ---- messages ---- */

struct reader {
	struct tok_spm *m;
	const unsigned char *begin;
	const char *where;
	int64_t model_type;
};

/* Calls read() for each field of a message. */
static int each_field(struct reader *r, const char *what, struct ft_span message,
                      int (*read)(struct reader *r, const struct field *f))
{
	struct wire w = { (const unsigned char *)message.p, (const unsigned char *)message.p + message.n };
	struct field f;
	for (;;) {
		size_t at = (size_t)(w.at - r->begin);
		int got = next_field(&w, &f);
		if (got < 0)
			return ft_fail(FT_EFORMAT, "%s: %s is malformed or cut short (offset %zu)", r->where, what, at);
		int rc = got ? read(r, &f) : FT_OK;
		if (rc < 0 || !got)
			return rc;
	}
}

static bool is(const struct field *f, uint64_t number, int type)
{
	return f->number == number && f->type == type;
}

static int read_piece(struct reader *r, const struct field *f)
{
	struct tok_spm_piece *p = &r->m->piece[r->m->n - 1];
	uint32_t bits = (uint32_t)f->value;
	if (is(f, 1, WIRE_BYTES))
		p->text = f->bytes;
	else if (is(f, 2, WIRE_32))
		memcpy(&p->score, &bits, 4);
	else if (is(f, 3, WIRE_VARINT))
		p->type = f->value >= TOK_NORMAL && f->value <= TOK_BYTE ? (uint8_t)f->value : 0;
	return FT_OK;
}

static int read_trainer(struct reader *r, const struct field *f)
{
	struct tok_spm *m = r->m;
	if (f->type != WIRE_VARINT)
		return FT_OK;
	switch (f->number) {
	case 3: r->model_type = (int64_t)f->value; break;
	case 24: m->suffix = f->value; break;
	case 35: m->byte_fallback = f->value; break;
	case 41: m->bos = (int32_t)f->value; break;
	case 42: m->eos = (int32_t)f->value; break;
	case 43: m->pad = (int32_t)f->value; break;
	}
	return FT_OK;
}

static int read_normalizer(struct reader *r, const struct field *f)
{
	struct tok_spm *m = r->m;
	if (is(f, 2, WIRE_BYTES))
		m->charsmap = f->bytes;
	else if (is(f, 3, WIRE_VARINT))
		m->prefix = f->value;
	else if (is(f, 4, WIRE_VARINT))
		m->squeeze = f->value;
	else if (is(f, 5, WIRE_VARINT))
		m->escape = f->value;
	return FT_OK;
}

static int read_model(struct reader *r, const struct field *f)
{
	if (is(f, 1, WIRE_BYTES)) {
		int rc = ft_grow(&r->m->piece, &r->m->cap, r->m->n + 1, sizeof *r->m->piece);
		if (rc < 0)
			return rc;
		r->m->piece[r->m->n++] = (struct tok_spm_piece){ .text = { "", 0 }, .type = TOK_NORMAL };
		return each_field(r, "a piece", f->bytes, read_piece);
	}
	if (is(f, 2, WIRE_BYTES))
		return each_field(r, "trainer_spec", f->bytes, read_trainer);
	return is(f, 3, WIRE_BYTES) ? each_field(r, "normalizer_spec", f->bytes, read_normalizer) : FT_OK;
}

int tok_spm_read(struct tok_spm *m, const char *where, const void *bytes, size_t n)
{
	*m = (struct tok_spm){ .unk = -1, .bos = 1, .eos = 2, .pad = -1, .prefix = true, .squeeze = true,
		               .escape = true, .single = true };
	struct reader r = { m, bytes, where, 1 };
	int rc = each_field(&r, "the model", (struct ft_span){ bytes, n }, read_model);
	if (rc < 0)
		return rc;
	if (!m->n)
		return ft_fail(FT_EFORMAT, "%s: is not a SentencePiece model: it has no pieces", where);
	if (r.model_type != 1 && r.model_type != 2)
		return ft_fail(FT_EFORMAT, "%s: a model of type %lld; 1 (unigram) and 2 (BPE) are supported", where,
		               (long long)r.model_type);
	m->bpe = r.model_type == 2;
	return tok_spm_check(m, where);
}

void tok_spm_free(struct tok_spm *m)
{
	free(m->piece);
	*m = (struct tok_spm){ 0 };
}

/* ---- checking ---- */

/* The byte of "<0x0A>", or -1; s has no NUL. */
static int byte_of(struct ft_span s)
{
	static const char digits[] = "0123456789ABCDEF";
	if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>')
		return -1;
	const char *high = strchr(digits, s.p[3]), *low = strchr(digits, s.p[4]);
	return high && low ? (int)((high - digits) << 4 | (low - digits)) : -1;
}

static int check_piece(struct tok_spm *m, size_t i, bool seen[256], const char *where)
{
	const struct tok_spm_piece *p = &m->piece[i];
	if (!p->text.n || memchr(p->text.p, '\0', p->text.n) || ft_utf8_invalid(p->text.p, p->text.n))
		return ft_fail(FT_EFORMAT, "%s: piece %zu is empty, or not UTF-8 text", where, i);
	if (!(p->score - p->score == 0)) /* infinite, or not a number */
		return ft_fail(FT_EFORMAT, "%s: piece %zu has a score that is not a number", where, i);
	if (!p->type)
		return ft_fail(FT_EFORMAT, "%s: piece %zu has an unknown type", where, i);
	if (p->type == TOK_UNKNOWN && m->unk >= 0 && (size_t)m->unk != i)
		return ft_fail(FT_EFORMAT, "%s: pieces %lld and %zu are both the unknown one", where,
		               (long long)m->unk, i);
	if (p->type == TOK_UNKNOWN)
		m->unk = (int64_t)i;
	int byte = p->type == TOK_BYTE ? byte_of(p->text) : -1;
	if (p->type == TOK_BYTE && byte < 0)
		return ft_fail(FT_EFORMAT, "%s: piece %zu, '%.*s', is not that of a byte", where, i, (int)p->text.n,
		               p->text.p);
	if (byte >= 0)
		seen[byte] = true;
	return FT_OK;
}

int tok_spm_check(struct tok_spm *m, const char *where)
{
	bool seen[256] = { false };
	for (size_t i = 0; i < m->n; i++) {
		int rc = check_piece(m, i, seen, where);
		if (rc < 0)
			return rc;
	}
	if (m->unk < 0)
		return ft_fail(FT_EFORMAT, "%s: no piece is the unknown one", where);
	for (int i = 0; i < 256 && m->byte_fallback; i++)
		if (!seen[i])
			return ft_fail(FT_EFORMAT, "%s: byte_fallback is on, but byte %02X has no piece", where, i);
	return FT_OK;
}
