/* talk.h - a conversation with a model: lines are read, answers come as they are made, and
 * both become messages of the model's own chat template.
 */
#ifndef FT_TALK_H
#define FT_TALK_H

#include "ft/generate.h"

struct ft_talk_options {
	struct ft_generate_options generate;
	const char *system; /* the first message, of the system; or NULL */
	/* A file with {"messages": [...]} in one line: where the conversation goes on, when it is
	 * there, and where it is kept, after each answer; or NULL. */
	const char *keep;
	size_t limit;       /* most tokens of a prompt: the oldest turns are left out beyond it */
	bool terminal;      /* show a prompt, and say what one may do */
};
/* Until the end of stdin. */
int ft_talk(struct ft_model *m, const struct ft_tok *t, const struct ft_talk_options *o);

#endif
