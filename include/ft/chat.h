/* chat.h - chat templates: the text that a model was trained to read, made of messages.
 *
 * A template is a small program in the part of Jinja that chat templates are written in. It is
 * compiled once and rendered as transformers renders it: blocks trimmed, loop controls, the
 * generation tag, tojson without escapes, raise_exception, strftime_now, values that templates
 * cannot change. What is outside of that part is an error that names it, with its line.
 *
 * A template is a stranger's program. It reaches nothing but what it is given, and steps,
 * nesting, memory and output are limited: one that runs for ever ends with FT_EFORMAT.
 *
 * Every byte of the result knows where it came from. Text of messages and tools stays marked as
 * data through all that templates do with it (trimming, joining, cutting, replacing, JSON), so that
 * a tokenizer need not take "<|im_end|>" inside a message for the end of a turn.
 */
#ifndef FT_CHAT_H
#define FT_CHAT_H

#include "ft/json.h"
#include "ft/mem.h"

struct ft_chat; /* compiled; rendering does not change it, so threads may share it */

/* Compiles a template, such as tokenizer.chat_template of a GGUF file. `name` stands in errors:
 * "NAME:LINE: the filter 'pprint' is not supported". NULL on failure (FT_EFORMAT). */
struct ft_chat *ft_chat_new(const char *name, const char *source, size_t n);

/* The template of a Hugging Face folder: chat_template.jinja, or chat_template in
 * tokenizer_config.json, a text or a list of named ones; or of a GGUF file, by a name that ends
 * in .gguf. Of several, "default" is taken, and
 * "tool_use" where tools are given. The folder's special tokens (bos_token, …) are defaults of
 * what a rendering is given. NULL on failure; FT_EFORMAT when there is no template. */
struct ft_chat *ft_chat_of_dir(const char *dir);

/* True when the template says, with {% generation %}, what the model is to learn. */
bool ft_chat_has_replies(const struct ft_chat *c);

/* XXH3-128 of the template, or of the two where one is for tools; hex. */
const char *ft_chat_digest(const struct ft_chat *c);

void ft_chat_free(struct ft_chat *c); /* NULL is fine */

struct ft_chat_input {
	const json_t *messages; /* a list of {"role": …, "content": …, …}, not empty */
	const json_t *tools;    /* a list of JSON schemas; or NULL */
	/* Further variables, such as bos_token or enable_thinking; or NULL. Those whose names end in
	 * _token count as the template's own, all others as data. */
	const json_t *extra;
	bool add_generation_prompt; /* end where the model's answer begins */
};

/* Where a part of the text came from. */
#define FT_CHAT_DATA  1u /* of messages, tools or extra, or made of them */
#define FT_CHAT_REPLY 2u /* written inside {% generation %} … {% endgeneration %}, wherever it went then */
struct ft_chat_span {
	size_t begin, end; /* bytes */
	unsigned from;     /* a sum of the above; 0: the template's own */
};
struct ft_chat_text { /* {0} is a valid empty one */
	struct ft_buf text;
	struct ft_chat_span *spans; /* all of the text, in order */
	size_t nspans, cap;
};
void ft_chat_text_free(struct ft_chat_text *t); /* leaves {0} */

/* Renders into `out`, whose content is replaced. FT_EFORMAT when the template fails, with its own
 * sentence where it refuses the messages (raise_exception). A role that is one word of letters,
 * digits, '_' and '-' is not marked as data: templates make special tokens of it. The date that
 * strftime_now gives is that of SOURCE_DATE_EPOCH (UTC) where the environment has it, or today's. */
int ft_chat_render(const struct ft_chat *c, const struct ft_chat_input *in, struct ft_chat_text *out);

#endif
