/* cli.h - what every tool's command line shares.
 *
 * A tool is one file in tools/: a table of options and a run(). The table
 * drives parsing, --help, shell completion and the OPTIONS of the man page.
 * main() is lib/cli/main.c: it parses, calls run(), prints the message of a
 * failure once, checks that stdout could be written, and exits with the
 * documented code.
 *
 *	static const char *model;
 *	static const struct ft_opt options[] = {
 *		{ "model", 'm', FT_OPT_STR, &model, "MODEL", "take the tokenizer of MODEL" },
 *		{ 0 }
 *	};
 *	const struct ft_tool ft_tool = { "ft-x", "does x", "-m MODEL [FILE]...", options, run };
 */
#ifndef FT_CLI_H
#define FT_CLI_H

#include "ft/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ft_opt_kind {
	FT_OPT_END = 0, /* ends the table */
	FT_OPT_FLAG,    /* dest: bool */
	FT_OPT_INT,     /* dest: int64_t; K, M, G suffixes are powers of 1000 */
	FT_OPT_REAL,    /* dest: double */
	FT_OPT_STR,     /* dest: const char * */
	FT_OPT_LIST,    /* dest: struct ft_list; may be given many times */
	FT_OPT_GROUP,   /* a heading in --help; only `help` is used */
};

struct ft_list {
	const char **item; /* in the order given */
	size_t count, cap;
};

/* An option that cannot change the bytes of the output (a file's name, a
 * number of threads): left out of the provenance log. */
#define FT_OPT_QUIET 1u
/* May be given without a value (then dest is set to ""): --baz or --baz=V. STR only. */
#define FT_OPT_MAYBE 2u

struct ft_opt {
	const char *name; /* long name without dashes; NULL in a heading */
	char letter;      /* one-letter name, or 0 */
	enum ft_opt_kind kind;
	void *dest;       /* keeps its initial value when the option is absent */
	const char *arg;  /* name of the value in --help, NULL for a flag */
	const char *help; /* one sentence, lower case, no final stop; states the default */
	unsigned flags;
};

struct ft_tool {
	const char *name, *summary; /* "ft-batch", "group examples into batches" */
	const char *synopsis;       /* what follows the name; '\n' between forms */
	const struct ft_opt *options;
	/* argc operands in argv. 0 or a negative FT_E... */
	int (*run)(int argc, char **argv);
};
extern const struct ft_tool ft_tool; /* each tool defines its own */

/* Parses argv (GNU rules: permutation, `--`, `--opt=value`, unique
 * abbreviations refused). Returns the number of operands, moved to the front
 * of argv, or FT_EUSAGE. */
int ft_opt_parse(const struct ft_tool *tool, int argc, char **argv);

/* This run's entry for the provenance log: {tool, version, options}. Borrowed. */
const json_t *ft_invocation(void);

/* `text` as it may stand in an output: a name given with an absolute path is
 * cut to its last component. Borrowed from `text`. */
const char *ft_public_name(const char *text);

/* ---- progress on stderr: only when stderr is a terminal and --quiet and
 * CI-like environments do not forbid it; redrawn at most ten times a second. ---- */
void ft_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void ft_progress_end(void); /* clears the line */
/* A note for the person: `tool: …` on stderr, never under --quiet. */
void ft_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "12.3 MB" */
void ft_human_bytes(char out[16], double bytes);
/* A warning: as a note, but also under --quiet. */
void ft_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* True under --quiet. */
bool ft_quiet(void);
/* From now on this process says nothing at all, not even that or why it fails: another one speaks for it. */
void ft_hush(void);
/* True when stdout (1) or stderr (2) is a terminal that wants colour (NO_COLOR). */
bool ft_colour(int fd);

/* Whether all that was printed has arrived; main() asks at the end. A tool that also writes a file asks before
 * that gets its name: it must not be there when the tool fails. */
int ft_print_flush(void);

/* Seconds from a clock that never goes back; for rates, never for output. */
double ft_now(void);

#endif
