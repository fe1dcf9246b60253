/* startup.c - how long a command takes from its start to its end.
 *
 *	startup [-n TIMES] [-i FILE] COMMAND [ARGUMENT]...
 *
 * It runs with stdin from FILE (default: /dev/null) and stdout to /dev/null, once to
 * warm the caches and then TIMES times. One line of JSON on stdout, with the median
 * in milliseconds. A command that fails is a failure. */
#include "clock.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Milliseconds; negative: it could not be run or failed. */
static double run(const char *input, char **argv)
{
	posix_spawn_file_actions_t fa;
	pid_t pid;
	int status;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, input, O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	double at = now();
	int rc = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
	if (rc == 0)
		waitpid(pid, &status, 0);
	double took = now() - at;
	posix_spawn_file_actions_destroy(&fa);
	if (rc) {
		fprintf(stderr, "startup: %s: %s\n", argv[0], strerror(rc));
		return -1;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "startup: %s failed\n", argv[0]);
		return -1;
	}
	return 1e3 * took;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	const char *input = "/dev/null";
	int times = 20, c;
	while ((c = getopt(argc, argv, "+n:i:")) != -1) {
		switch (c) {
		case 'n': times = atoi(optarg); break;
		case 'i': input = optarg; break;
		default: return 2;
		}
	}
	if (optind == argc || times < 1 || times > 10000) {
		fprintf(stderr, "usage: startup [-n TIMES] [-i FILE] COMMAND [ARGUMENT]...\n");
		return 2;
	}
	double took[10000];
	for (int i = -1; i < times; i++) {
		double t = run(input, argv + optind);
		if (t < 0)
			return 1;
		took[i < 0 ? 0 : i] = t;
	}
	qsort(took, (size_t)times, sizeof *took, by_size);
	double median = times % 2 ? took[times / 2] : (took[times / 2 - 1] + took[times / 2]) / 2;
	const char *slash = strrchr(argv[optind], '/');
	printf("{\"what\":\"startup\",\"tool\":\"%s\",\"times\":%d,\"least\":%.3f,\"median\":%.3f,\"most\":%.3f}\n",
	       slash ? slash + 1 : argv[optind], times, took[0], median, took[times - 1]);
	return 0;
}
