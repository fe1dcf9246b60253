/* dialogue.h - conversations: the text that a template makes of them, and what in it the
 * assistant says. replies.c finds that, dialogue.c makes tokens of it. */
#ifndef FT_TEXT_DIALOGUE_H
#define FT_TEXT_DIALOGUE_H

#include "ft/chat.h"
#include "ft/encode.h"

/* What a thread needs for it, kept from one conversation to the next; {0} is a valid empty one. */
struct dialogue {
	struct ft_chat_text whole, part; /* rendered: all of it, and the first turns */
	struct ft_tok_range *reply;      /* [replies]: bytes of `whole` that are learnt, in order */
	size_t replies, reply_cap;
	struct ft_tok_range *strange;    /* [nstrange]: bytes of it that come from messages */
	size_t nstrange, strange_cap;
	bool exact;                      /* the template says where replies end; else they end with a special token */
};
void dialogue_free(struct dialogue *d);

/* d->strange of d->whole, and d->reply where the template has tags. */
int dialogue_spans(struct dialogue *d);
/* Renders a conversation into d->whole, and finds d->reply. */
int replies_find(struct dialogue *d, const struct ft_chat *c, json_t *messages, const json_t *tools,
                 enum ft_learn learn);

#endif
