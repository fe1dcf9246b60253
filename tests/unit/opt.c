/* opt.c - command lines: what is accepted, what is refused, what is logged. */
#include "ft/cli.h"
#include "ft/err.h"
#include "tests/tap.h"

#include <stdlib.h>

static bool flag;
static int64_t number;
static double real;
static const char *text, *maybe, *file;
static struct ft_list list;

static const struct ft_opt options[] = {
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Group", 0 },
	{ "flag", 'f', FT_OPT_FLAG, &flag, NULL, "a flag", 0 },
	{ "number", 'n', FT_OPT_INT, &number, "N", "a number", 0 },
	{ "real", 'r', FT_OPT_REAL, &real, "X", "a real", 0 },
	{ "text", 't', FT_OPT_STR, &text, "TEXT", "a text", 0 },
	{ "maybe", 'm', FT_OPT_STR, &maybe, "TEXT", "a text or none", FT_OPT_MAYBE },
	{ "list", 'l', FT_OPT_LIST, &list, "TEXT", "texts", 0 },
	{ "output", 'o', FT_OPT_STR, &file, "FILE", "not logged", FT_OPT_QUIET },
	{ 0 },
};
static const struct ft_tool tool = { "ft-test", "tests", "", options, NULL };

static char *args[16];

/* Parses a command line that is written with single spaces. */
static int parse(const char *line)
{
	static char copy[200];
	int n = 0;
	snprintf(copy, sizeof copy, "%s", line);
	flag = false;
	number = 1;
	real = 1;
	text = maybe = file = NULL;
	free(list.item);
	list = (struct ft_list){ 0 };
	for (char *p = *copy ? copy : NULL; p;) {
		char *space = strchr(p, ' ');
		args[n++] = p;
		if (space)
			*space++ = '\0';
		p = space;
	}
	args[n] = NULL;
	return ft_opt_parse(&tool, n, args);
}

static void refused(const char *line, const char *reason)
{
	ok(parse(line) == FT_EUSAGE && strstr(ft_message(), reason), "refused: %s", line);
}

static void check_accepted(void)
{
	is_int(parse(""), 0, "nothing");
	ok(!flag && number == 1 && !text, "leaves what was there");
	is_int(parse("a --flag b -n 12 c"), 3, "options among operands");
	ok(flag && number == 12 && !strcmp(args[0], "a") && !strcmp(args[1], "b") && !strcmp(args[2], "c"),
	   "operands in order");
	ok(parse("-fn3 -r.5 --text=x=y") == 0 && flag && number == 3 && real == 0.5 && !strcmp(text, "x=y"),
	   "bundled, and with =");
	ok(parse("-f -- -n --flag") == 2 && !strcmp(args[0], "-n") && number == 1, "after -- nothing is an option");
	ok(parse("- -f") == 1 && !strcmp(args[0], "-") && flag, "- is an operand");
	ok(parse("-t --flag") == 0 && !strcmp(text, "--flag") && !flag, "a value that looks like an option");
	ok(parse("--text=") == 0 && text && !*text, "an empty value");
	ok(parse("-n 2K") == 0 && number == 2000 && parse("-n 3M") == 0 && number == 3000000 && parse("-n -4G") == 0 &&
	   number == -4000000000, "K, M and G");
	ok(parse("-r 1e-3") == 0 && real == 0.001 && parse("-r -2") == 0 && real == -2, "reals");
	ok(parse("--maybe x") == 1 && maybe && !*maybe && parse("--maybe=y") == 0 && !strcmp(maybe, "y"),
	   "a value that may be left out");
	ok(parse("-l a --list=b -lc") == 0 && list.count == 3 && !strcmp(list.item[0], "a") && !strcmp(list.item[1], "b") &&
	   !strcmp(list.item[2], "c"), "a list, in order");
	ok(parse("-n 1 -n 2") == 0 && number == 2, "the last one counts");
}

static void check_refused(void)
{
	refused("--flg", "unknown option '--flg'");
	refused("--fla", "unknown option '--fla'");
	refused("-x", "unknown option '-x'");
	refused("-fx", "unknown option '-x'");
	refused("--flag=1", "--flag takes no value");
	refused("--number", "--number needs a value (N)");
	refused("-n", "-n needs a value (N)");
	refused("-n x", "'x' is not a whole number");
	refused("-n 1.5", "'1.5' is not a whole number");
	refused("-n 1k", "'1k' is not a whole number");
	refused("-n 1KK", "not a whole number");
	refused("-n 9223372036854775808", "not a whole number");
	refused("-n 9223372036854775807K", "not a whole number");
	refused("-n 10000000000G", "not a whole number");
	refused("--number=", "not a whole number");
	refused("-r nan", "'nan' is not a number");
	refused("-r 1e999", "'1e999' is not a number");
	refused("-r inf", "not a number");
	refused("-r 1x", "not a number");
	refused("-t \xff", "not valid UTF-8");
	refused("-\xff", "unknown option");
}

/* What lies in a stream's log: no absolute paths, nothing that changes no byte. */
static void check_log(void)
{
	parse("-f -n 3 --text=/home/me/secret/x.tsv -l a/b -l - -o /tmp/out -q -j 2 --maybe operand");
	char *log = ft_json_text(ft_invocation());
	const char *want = "{\"tool\":\"ft-test\",\"version\":\"" FT_VERSION "\",\"options\":[\"--flag\",\"--number=3\","
	                   "\"--text=x.tsv\",\"--list=a/b\",\"--list=-\",\"--maybe=\"]}";
	is_str(log, want, "the entry of the log");
	free(log);
	is_str(ft_public_name("/a/b"), "b", "an absolute path becomes a name");
	is_str(ft_public_name("a/b"), "a/b", "a relative one stays");
	is_str(ft_public_name("/"), "/", "the root");
	is_str(ft_public_name(""), "", "nothing");
}

int main(void)
{
	check_accepted();
	check_refused();
	check_log();
	free(list.item);
	return tap_done();
}
