/* priv.h - what the files of lib/cli share. */
#ifndef FT_CLI_PRIV_H
#define FT_CLI_PRIV_H

#include "ft/cli.h"

extern bool cli_quiet;
bool cli_hushed(void); /* another process speaks for this one */
int64_t cli_threads(void);
const char *cli_help_form(void); /* NULL: not asked; "" or "man" */
bool cli_version(void);
void cli_help(const struct ft_tool *tool);
void cli_help_man(const struct ft_tool *tool);

#endif
