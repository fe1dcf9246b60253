/* json.h - JSON with jansson, and errors that name file and line.
 *
 * Values are jansson's (json_t); this adds only what every caller would
 * repeat. Duplicate keys, invalid UTF-8 and nesting beyond jansson's limit
 * are malformed input (FT_EFORMAT). A whole number beyond 64 bits is read as a
 * real: transformers writes 1000000000000000019884624838656 for "no limit".
 */
#ifndef FT_JSON_H
#define FT_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As json_loadb(), which must not be called itself: where memory is short jansson is not safe. *no_memory: whether that
 * is why there is no value. New reference. */
json_t *ft_json_decode(const char *text, size_t n, size_t flags, json_error_t *e, bool *no_memory);
/* Whether jansson was ever refused memory: what it holds may be not all of it, and must not be written. */
bool ft_json_incomplete(void);
/* FT_EFAIL, if so: for what would otherwise be taken for complete. */
int ft_json_whole(void);
/* Says that all that jansson held then has been dropped. */
void ft_json_dropped(void);
/* As json_dumps(), which must not be called itself. NULL: out of memory. From malloc. */
char *ft_json_dumps(const json_t *v, size_t flags);
/* As json_copy() and json_deep_copy(), which leave out members that they have no memory for. NULL: out of memory, with
 * a message; or of NULL. */
json_t *ft_json_copy(const json_t *v);
json_t *ft_json_deep_copy(const json_t *v);
/* Reads a whole file. NULL on failure (FT_EFAIL, FT_EFORMAT). New reference. */
json_t *ft_json_load(const char *path);
/* Reads `n` bytes; `where` names them in errors. New reference. */
json_t *ft_json_parse(const char *where, const char *text, size_t n);
/* Writes a file, indented, keys in insertion order, with a final newline. */
int ft_json_save(const char *path, const json_t *v);
/* One line of text without spaces; reals with 9 significant digits, which
 * float32 survives. From malloc; NULL when out of memory. */
char *ft_json_text(const json_t *v);

/* Sets a member; takes the value, which may be NULL: FT_EFAIL (out of memory). */
int ft_json_set(json_t *obj, const char *key, json_t *value_taken);
/* Appends to an array in the same way. */
int ft_json_append(json_t *array, json_t *value_taken);

/* Fails where json_string(text) gave none: with this code and message when the text is not UTF-8, else for want of
 * memory. */
int ft_json_no_string(const char *text, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A member, borrowed from `obj`; NULL also where it is null. */
json_t *ft_json_get(const json_t *obj, const char *key);

/* Members with a default. What has another type than asked for counts as an
 * error: the functions set *err (when err is not NULL) to FT_EFORMAT and keep
 * it set. JSON null counts as absent. Results are borrowed from `obj`. */
int64_t ft_json_int(const json_t *obj, const char *key, int64_t absent, int *err);
double ft_json_real(const json_t *obj, const char *key, double absent, int *err);
bool ft_json_bool(const json_t *obj, const char *key, bool absent, int *err);
const char *ft_json_str(const json_t *obj, const char *key, const char *absent, int *err);

#endif
