/* tokens.h - tokenizers made of a few lines of JSON, and what they make of a text. */
#ifndef FT_TESTS_TOKENS_H
#define FT_TESTS_TOKENS_H

#include "ft/mem.h"
#include "ft/tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The tokenizer of a folder that has this tokenizer.json alone. NULL: it is refused; the message does not name the
 * folder, whose name changes. */
__attribute__((unused)) static struct ft_tok *open_text(const char *text, size_t n)
{
	char folder[] = "/tmp/ft-unit.XXXXXX", path[60];
	if (!mkdtemp(folder))
		return NULL;
	snprintf(path, sizeof path, "%s/tokenizer.json", folder);
	FILE *f = fopen(path, "wb");
	if (f) {
		fwrite(text, 1, n, f);
		fclose(f);
	}
	struct ft_tok *t = ft_tok_open(folder);
	unlink(path);
	rmdir(folder);
	return t;
}

__attribute__((format(printf, 1, 2), unused)) static struct ft_tok *open_json(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	struct ft_tok *t = n < 0 ? NULL : open_text(text, (size_t)n);
	free(text);
	return t;
}

/* The tokenizer.json of a file with other members, which are JSON: objects are joined, lists replaced. */
__attribute__((unused)) static struct ft_tok *open_like(const char *file, const char *members)
{
	json_t *root = json_load_file(file, 0, NULL), *more = json_loads(members, 0, NULL);
	char *text = json_object_update_recursive(root, more) == 0 ? json_dumps(root, 0) : NULL;
	struct ft_tok *t = text ? open_text(text, strlen(text)) : NULL;
	free(text);
	json_decref(root);
	json_decref(more);
	return t;
}

/* Tokens of a text with '|' between: pieces, or, as `parts`, the bytes that they stand for; "!" and why there are
 * none. Good until the next call. */
__attribute__((unused)) static const char *tokens_of(const struct ft_tok *t, const char *text, size_t n, bool parts)
{
	static struct ft_buf b;
	struct ft_tok_text x = { 0 };
	b.len = 0;
	if (!t || ft_tok_encode(t, text, n, 0, &x) < 0)
		ft_buf_printf(&b, "!%s", ft_message());
	for (size_t i = 0; i < x.n && !(b.len && b.data[0] == '!'); i++) {
		const char *piece = ft_tok_piece(t, x.ids[i]);
		ft_buf_printf(&b, "%s%.*s", i ? "|" : "", parts ? (int)(x.end[i] - x.begin[i]) : (int)strlen(piece),
		              parts ? text + x.begin[i] : piece);
	}
	ft_buf_append(&b, "", 1);
	ft_tok_text_free(&x);
	return (const char *)b.data;
}

__attribute__((unused)) static const char *pieces(const struct ft_tok *t, const char *text)
{
	return tokens_of(t, text, strlen(text), false);
}

__attribute__((unused)) static const char *parts(const struct ft_tok *t, const char *text)
{
	return tokens_of(t, text, strlen(text), true);
}

#endif
