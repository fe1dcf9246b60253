/* tok.h - tokenizers: text to ids and back.
 *
 * A tokenizer is opened from a Hugging Face folder: tokenizer.json, or the
 * older vocab.txt, or vocab.json with merges.txt (with tokenizer_config.json
 * beside them when there is one), or a SentencePiece model; or from a GGUF file, by
 * a name that ends in .gguf. It follows the reference implementation id by
 * id. It may be shared by threads; each thread has its own ft_tok_text.
 */
#ifndef FT_TOK_H
#define FT_TOK_H

#include "ft/json.h"
#include "ft/mem.h"
#include "ft/stream.h"
#include <stdbool.h>
#include <stdint.h>

struct ft_tok;
/* NULL on failure: FT_EFORMAT names file and field. Truncation and padding
 * that tokenizer.json may ask for are not a tokenizer's business: ignored. */
struct ft_tok *ft_tok_open(const char *dir);
/* The same with tokens (an array of strings, or NULL) behind those that it has, as transformers' add_tokens() adds
 * them. FT_EUSAGE: one is a token already, or the folder has no tokenizer.json. */
struct ft_tok *ft_tok_open_with(const char *dir, const json_t *tokens);
/* The text of such a tokenizer.json, which is that of the folder but for the new entries: APPENDED to out. */
int ft_tok_json_add(const char *dir, const json_t *tokens, struct ft_buf *out);
/* Files of a folder that a tokenizer may be in, and what may stand beside it; NULL ends the list. */
extern const char *const ft_tok_files[];
int ft_tok_there(const char *dir); /* 1: a folder has one; 0: it has none; <0 */
void ft_tok_free(struct ft_tok *t); /* NULL is fine */

/* What a stream's meta says of a tokenizer; new reference:
 * {digest, type: "wordpiece", "bpe" or "unigram", vocab: 30522, pad, unk, cls, sep, mask,
 * bos, eos: ids or null, special: [ids]}. The digest is over what decides the ids (the
 * bytes of tokenizer.json, or of the older files and the options read beside them). */
json_t *ft_tok_describe(const struct ft_tok *t);

/* A growing result; {0} is a valid empty one. */
struct ft_tok_scratch;
struct ft_tok_text {
	int32_t *ids;      /* [n] */
	uint8_t *types;    /* [n]: 0 first text, 1 second */
	uint32_t *begin, *end; /* [n]: byte offsets into the text it came from, whole characters; equal for
	                        * special tokens */
	size_t n, cap;
	struct ft_tok_scratch *scratch; /* private */
};
void ft_tok_text_free(struct ft_tok_text *x); /* leaves {0} */

/* Ids of one text, without the special tokens around it: APPENDS to x. `type`
 * is stored. Text must be UTF-8; what is not is replaced by U+FFFD as the
 * reference bindings do; ft_utf8_invalid() counts it. A special token that
 * stands in the text becomes its id, as in the reference; its offsets are
 * those of its text. Texts of 4 GiB and more are refused. */
int ft_tok_encode(const struct ft_tok *t, const char *text, size_t n, int type, struct ft_tok_text *x);

/* The same of a text of which some bytes are a stranger's: no special token is found where one of
 * them is a part of it; it is read as any other text, so that nobody writes "<|im_end|>" into
 * a message. Tokens that a file adds and does not call special are found everywhere. FT_EFORMAT when
 * the vocabulary makes a special token of such bytes all the same. */
struct ft_tok_range { size_t begin, end; };
int ft_tok_encode_guarded(const struct ft_tok *t, const char *text, size_t n, const struct ft_tok_range *strange,
                          size_t ranges, struct ft_tok_text *x); /* in order, and apart from each other */

/* Special tokens a single text, or a pair, gets around it ([CLS] A [SEP] B [SEP]). */
size_t ft_tok_specials(const struct ft_tok *t, bool pair);
/* Makes out = template(a, b): b NULL for a single text. a and b may be parts
 * (index and count) of encoded texts, for truncation and splitting. */
struct ft_tok_slice {
	const struct ft_tok_text *text;
	size_t from, n;
};
int ft_tok_wrap(const struct ft_tok *t, const struct ft_tok_slice *a, const struct ft_tok_slice *b,
                struct ft_tok_text *out);

/* What becomes of texts that are longer than a model takes. */
enum ft_tok_long {
	FT_TOK_ERROR, FT_TOK_TRUNCATE, FT_TOK_DROP, FT_TOK_SPLIT,
	FT_TOK_TURNS /* conversations (ft/encode.h) lose their oldest turns */
};
int ft_tok_long_parse(const char *name); /* "error", "truncate", "drop", "split", "turns"; -1: none of them */
struct ft_tok_limit {
	size_t max;    /* tokens of an example, with special tokens: more than those */
	size_t stride; /* SPLIT: tokens by which neighbouring parts overlap */
	enum ft_tok_long policy;
};
/* Whether texts of na and nb tokens (nb 0 for a single text) are too long. */
bool ft_tok_is_long(const struct ft_tok *t, const struct ft_tok_limit *l, size_t na, bool pair, size_t nb);
/* How many examples they make: 1 when they are not too long; else 1 cut short
 * (TRUNCATE), 0 (DROP), some (SPLIT), or FT_EFORMAT (ERROR; SPLIT of a pair whose
 * first text leaves no room: only the second is split). */
int64_t ft_tok_parts(const struct ft_tok *t, const struct ft_tok_limit *l, size_t na, bool pair, size_t nb);
/* Narrows a and b (NULL for a single text), which are whole texts, to part i.
 * A pair is cut short as the reference does: the longer text first. */
void ft_tok_part(const struct ft_tok *t, const struct ft_tok_limit *l, size_t i, struct ft_tok_slice *a,
                 struct ft_tok_slice *b);

size_t ft_tok_size(const struct ft_tok *t);                 /* ids are below it */
const char *ft_tok_piece(const struct ft_tok *t, int32_t id); /* as the vocabulary spells it; NULL: none */
int32_t ft_tok_id(const struct ft_tok *t, const char *piece); /* -1: not there */
bool ft_tok_is_special(const struct ft_tok *t, int32_t id);
/* Text of ids, APPENDED to out; special tokens left out when asked. Ids that
 * have no piece are passed over, as in the reference. */
int ft_tok_decode(const struct ft_tok *t, const int32_t *ids, size_t n, bool skip_special, struct ft_buf *out);

#endif
