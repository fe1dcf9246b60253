/* dir.h - between chat.c, which compiles templates, and dir.c, which finds them. */
#ifndef FT_CHAT_DIR_H
#define FT_CHAT_DIR_H

#include "ft/chat.h"

struct ft_chat *chat_empty(void);
/* Compiles the template for conversations with tools, or the one for all others. */
int chat_add(struct ft_chat *c, bool tools, const char *name, const char *source, size_t n);
bool chat_has(const struct ft_chat *c, bool tools);
/* Of a GGUF file; its special tokens go into `tokens`. */
int chat_add_gguf(struct ft_chat *c, const char *path, json_t *tokens);
void chat_give_tokens(struct ft_chat *c, json_t *tokens_taken);

#endif
