/* opt.c - one table of options: parsing, --help, --help=man, provenance. */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- options that every tool has ---- */
bool cli_quiet;
static const char *help_form;
static bool version;
static int64_t threads;

static const struct ft_opt common[] = {
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Common options", 0 },
	{ "threads", 'j', FT_OPT_INT, &threads, "N", "threads to use; the result does not depend on it (default: all cores)",
	  FT_OPT_QUIET },
	{ "quiet", 'q', FT_OPT_FLAG, &cli_quiet, NULL, "no notes and no progress on stderr", FT_OPT_QUIET },
	{ "help", 'h', FT_OPT_STR, &help_form, "man", "print this help, or the OPTIONS section of the manual page",
	  FT_OPT_QUIET | FT_OPT_MAYBE },
	{ "version", 'V', FT_OPT_FLAG, &version, NULL, "print the version, how it was built and with what", FT_OPT_QUIET },
	{ 0 },
};

int64_t cli_threads(void) { return threads; }
const char *cli_help_form(void) { return help_form; }
bool cli_version(void) { return version; }

/* ---- the provenance entry ---- */
static json_t *invocation;

const json_t *ft_invocation(void)
{
	return invocation;
}

const char *ft_public_name(const char *text)
{
	const char *slash = text[0] == '/' ? strrchr(text, '/') : NULL;
	return slash && slash[1] ? slash + 1 : text;
}

static int log_option(const struct ft_opt *o, const char *value)
{
	if (o->flags & FT_OPT_QUIET)
		return FT_OK;
	char *text = value ? ft_format("--%s=%s", o->name, ft_public_name(value)) : ft_format("--%s", o->name);
	if (!text)
		return FT_EFAIL;
	json_t *v = json_string(text);
	int rc = v ? ft_json_append(json_object_get(invocation, "options"), v)
	           : ft_json_no_string(text, FT_EUSAGE, "--%s: the value is not valid UTF-8", o->name);
	free(text);
	return rc;
}

/* ---- values ---- */
static int parse_int(const struct ft_opt *o, const char *value)
{
	char *end;
	errno = 0;
	long long v = strtoll(value, &end, 10), scale = 1;
	if (end != value && *end && !end[1]) {
		scale = *end == 'K' ? 1000 : *end == 'M' ? 1000000 : *end == 'G' ? 1000000000 : 0;
		end += scale != 0;
	}
	long long product;
	if (end == value || *end || errno || !scale || __builtin_mul_overflow(v, scale, &product))
		return ft_fail(FT_EUSAGE, "--%s: '%s' is not a whole number", o->name, value);
	*(int64_t *)o->dest = product;
	return FT_OK;
}

static int parse_real(const struct ft_opt *o, const char *value)
{
	char *end;
	double v = strtod(value, &end);
	if (end == value || *end || !isfinite(v))
		return ft_fail(FT_EUSAGE, "--%s: '%s' is not a number", o->name, value);
	*(double *)o->dest = v;
	return FT_OK;
}

static int set_value(const struct ft_opt *o, const char *value)
{
	int rc = FT_OK;
	switch (o->kind) {
	case FT_OPT_FLAG: *(bool *)o->dest = true; break;
	case FT_OPT_INT: rc = parse_int(o, value); break;
	case FT_OPT_REAL: rc = parse_real(o, value); break;
	case FT_OPT_STR: *(const char **)o->dest = value; break;
	case FT_OPT_LIST: {
		struct ft_list *list = o->dest;
		rc = ft_grow(&list->item, &list->cap, list->count + 1, sizeof *list->item);
		if (rc == FT_OK)
			list->item[list->count++] = value;
		break;
	}
	case FT_OPT_END:
	case FT_OPT_GROUP: break;
	}
	return rc < 0 ? rc : log_option(o, o->kind == FT_OPT_FLAG ? NULL : value);
}

/* ---- parsing ---- */
static const struct ft_opt *find_in(const struct ft_opt *table, const char *name, size_t n, char letter)
{
	for (const struct ft_opt *o = table; o->kind != FT_OPT_END; o++) {
		if (o->kind == FT_OPT_GROUP)
			continue;
		if (letter ? o->letter == letter : strlen(o->name) == n && memcmp(o->name, name, n) == 0)
			return o;
	}
	return NULL;
}

static const struct ft_opt *find(const struct ft_tool *tool, const char *name, size_t n, char letter)
{
	const struct ft_opt *o = find_in(tool->options, name, n, letter);
	return o ? o : find_in(common, name, n, letter);
}

/* One "--name[=value]". Returns how many further arguments it used, or <0. */
static int parse_long(const struct ft_tool *tool, const char *arg, const char *next)
{
	const char *equals = strchr(arg, '=');
	size_t n = equals ? (size_t)(equals - arg) : strlen(arg);
	const struct ft_opt *o = find(tool, arg, n, 0);
	if (!o)
		return ft_fail(FT_EUSAGE, "unknown option '--%.*s'; see %s --help", (int)n, arg, tool->name);
	if (o->kind == FT_OPT_FLAG) {
		if (equals)
			return ft_fail(FT_EUSAGE, "--%s takes no value", o->name);
		return set_value(o, NULL);
	}
	if (equals || o->flags & FT_OPT_MAYBE)
		return set_value(o, equals ? equals + 1 : "");
	if (!next)
		return ft_fail(FT_EUSAGE, "--%s needs a value (%s)", o->name, o->arg);
	int rc = set_value(o, next);
	return rc < 0 ? rc : 1;
}

/* One "-abc" or "-ovalue". Returns how many further arguments it used, or <0. */
static int parse_short(const struct ft_tool *tool, const char *arg, const char *next)
{
	for (; *arg; arg++) {
		const struct ft_opt *o = find(tool, NULL, 0, *arg);
		if (!o)
			return ft_fail(FT_EUSAGE, "unknown option '-%c'; see %s --help", *arg, tool->name);
		int rc;
		if (o->kind == FT_OPT_FLAG || o->flags & FT_OPT_MAYBE) {
			rc = set_value(o, o->kind == FT_OPT_FLAG ? NULL : "");
			if (rc < 0)
				return rc;
			continue;
		}
		if (!arg[1] && !next)
			return ft_fail(FT_EUSAGE, "-%c needs a value (%s)", *arg, o->arg);
		rc = set_value(o, arg[1] ? arg + 1 : next);
		return rc < 0 ? rc : !arg[1];
	}
	return 0;
}

int ft_opt_parse(const struct ft_tool *tool, int argc, char **argv)
{
	json_decref(invocation);
	invocation = json_pack("{s:s, s:s, s:[]}", "tool", tool->name, "version", FT_VERSION, "options");
	if (!invocation)
		return ft_fail(FT_EFAIL, "out of memory for the log");
	int operands = 0;
	for (int i = 0; i < argc; i++) {
		const char *arg = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
		if (strcmp(arg, "--") == 0) {
			while (++i < argc)
				argv[operands++] = argv[i];
			break;
		}
		int used = 0;
		if (arg[0] == '-' && arg[1] == '-')
			used = parse_long(tool, arg + 2, next);
		else if (arg[0] == '-' && arg[1])
			used = parse_short(tool, arg + 1, next);
		else
			argv[operands++] = argv[i];
		if (used < 0)
			return used;
		i += used;
	}
	return operands;
}

/* ---- --help ---- */

/* Prints `text` after column `indent`, broken at spaces before column 80. */
static void print_wrapped(const char *text, int column, int indent)
{
	while (*text) {
		size_t word = strcspn(text, " ");
		if (column > indent && column + (int)word + 1 > 79) {
			printf("\n%*s", indent, "");
			column = indent;
		}
		if (column > indent)
			column += printf(" ");
		column += printf("%.*s", (int)word, text);
		text += word;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_option(const struct ft_opt *o)
{
	int n = o->letter ? printf("  -%c, ", o->letter) : printf("      ");
	n += printf("--%s", o->name);
	if (o->flags & FT_OPT_MAYBE)
		n += printf("[=%s]", o->arg);
	else if (o->arg)
		n += printf(" %s", o->arg);
	if (n > 28)
		n = printf("\n") - 1;
	printf("%*s", 30 - n, "");
	print_wrapped(o->help, 30, 30);
}

static void help_table(const struct ft_opt *table)
{
	if (table->kind != FT_OPT_GROUP && table->kind != FT_OPT_END)
		printf("\nOptions:\n");
	for (const struct ft_opt *o = table; o->kind != FT_OPT_END; o++) {
		if (o->kind == FT_OPT_GROUP)
			printf("\n%s:\n", o->help);
		else
			print_option(o);
	}
}

static void print_synopsis(const struct ft_tool *tool)
{
	const char *p = tool->synopsis, *lead = "Usage:";
	do {
		size_t n = strcspn(p, "\n");
		printf("%s %s%s%.*s\n", lead, tool->name, n ? " " : "", (int)n, p);
		lead = "  or: ";
		p += n;
	} while (*p++ == '\n');
}

void cli_help(const struct ft_tool *tool)
{
	print_synopsis(tool);
	printf("%c%s.\n", tool->summary[0] - 'a' + 'A', tool->summary + 1);
	help_table(tool->options);
	help_table(common);
	printf("\nThe manual page %s(1) says more; ft(7) is the overview.\n", tool->name);
}

/* ---- --help=man: mdoc(7) ---- */

/* Text with what roff would take for itself escaped. */
static void print_roff(const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", stdout);
	for (; *s; s++) {
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (*s == '-')
			fputs("\\-", stdout);
		else
			putchar(*s);
	}
	putchar('\n');
}

/* `open`: whether a list has been begun. Returns the same for what follows. */
static bool man_table(const struct ft_opt *table, bool open)
{
	for (const struct ft_opt *o = table; o->kind != FT_OPT_END; o++) {
		if (open && o->kind == FT_OPT_GROUP)
			printf(".El\n");
		if (o->kind == FT_OPT_GROUP)
			printf(".Ss %s\n", o->help);
		if (!open || o->kind == FT_OPT_GROUP)
			printf(".Bl -tag -width Ds\n");
		open = true;
		if (o->kind == FT_OPT_GROUP)
			continue;
		printf(".It");
		if (o->letter)
			printf(" Fl %c ,", o->letter);
		printf(" Fl \\-%s", o->name);
		if (o->flags & FT_OPT_MAYBE)
			printf(" Ns Op = Ns Ar %s", o->arg);
		else if (o->arg)
			printf(" Ar %s", o->arg);
		putchar('\n');
		print_roff(o->help);
	}
	return open;
}

void cli_help_man(const struct ft_tool *tool)
{
	man_table(common, man_table(tool->options, false));
	printf(".El\n");
}
