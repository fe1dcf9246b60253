/* main.c - main() of every tool: parse, run, report, exit with the right code. */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/signals.h"
#include "ft/tensor.h"
#include "ft/thread.h"
#include "priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A closed standard descriptor would be reused by the next open(), and then a
 * message could land in a data file: hold the places. Reading a closed stdin and
 * writing to a closed stdout must fail, not vanish. */
static void hold_descriptors(void)
{
	static const int modes[3] = { O_WRONLY, O_RDONLY, O_RDWR };
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd)
			_exit(EXIT_FAILURE);
}

static void print_version(const struct ft_tool *tool)
{
	printf("%s (ft) %s\n", tool->name, FT_VERSION);
	printf("Built: %s, %s%s%s\n", __VERSION__, FT_BUILD,
#ifdef __SANITIZE_ADDRESS__
	       ", address sanitizer",
#else
	       "",
#endif
#ifdef FT_MPI
	       ", MPI"
#else
	       ""
#endif
	);
	printf("Numerics: %s kernels, %d threads\n", ft_isa(), ft_threads());
}

int ft_print_flush(void) /* `/dev/full`, a closed stdout */
{
	if (ferror(stdout) | (fflush(stdout) == EOF))
		return ft_fail_errno("stdout");
	return FT_OK;
}

static int run(const struct ft_tool *tool, int argc, char **argv)
{
	const char *form = cli_help_form();
	if (form && *form && strcmp(form, "man") != 0)
		return ft_fail(FT_EUSAGE, "--help: '%s' is not a form of help; 'man' is", form);
	if (form) {
		(*form ? cli_help_man : cli_help)(tool);
		return FT_OK;
	}
	if (cli_version()) {
		print_version(tool);
		return FT_OK;
	}
	return tool->run(argc, argv);
}

int main(int argc, char **argv)
{
	hold_descriptors();
	const struct ft_tool *tool = &ft_tool;
	int rc = ft_opt_parse(tool, argc - 1, argv + 1);
	if (rc >= 0) {
		ft_threads_set((int)cli_threads());
		argv[1 + rc] = NULL;
		rc = run(tool, rc, argv + 1);
	}
	ft_progress_end();
	if (rc >= 0)
		rc = ft_print_flush();
	if (rc < 0 && cli_hushed())
		return EXIT_SUCCESS; /* a status of its own would end the other one before it has spoken */
	if (rc < 0) {
		/* Only an allocation inside another library fails without a word. */
		fprintf(stderr, "%s: %s\n", tool->name, *ft_message() ? ft_message() : "out of memory");
		ft_signals_raise(); /* asked to stop: the status is to say so */
		exit(-rc);
	}
	return EXIT_SUCCESS;
}
