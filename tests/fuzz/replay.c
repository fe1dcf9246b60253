/* replay.c - main() of a fuzz harness without libFuzzer: runs it on files, and
 * on simple mutations of them, the same ones each time.
 *   NAME-replay [-m MUTATIONS | -a] FILE|FOLDER...
 * An input may cost 64 MiB and twice its size, and SECONDS.
 * -a, with tests/fault/allocs.c preloaded: on each file again and again, until each call that leads to an allocation
 * has failed once. That is survived, whatever comes of it.
 */
#include "ft/json.h"
#include "tests/fuzz/harness.h"

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

#define INPUT_MAX ((size_t)1 << 20)
#ifdef __SANITIZE_ADDRESS__ /* which takes time, and keeps what was freed */
#define MEMORY LONG_MAX
#define SECONDS 20
#else
#define MEMORY ((long)64 << 10) /* KiB */
#define SECONDS 2 /* of processors */
#endif

static const char *current = "(none)";
static long mutation, mutations, files, runs, most; /* KiB that inputs have cost */

/* Says which input it was; the second time the signal has its usual effect. */
static void on_signal(int number)
{
	char text[512];
	int n = snprintf(text, sizeof text, "replay: signal %d in %s, mutation %ld\n", number, current,
	                 mutation);
	if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(1);
	raise(number);
}

static uint64_t next_random(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15u;
	uint64_t z = (*state ^ *state >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* A few changes of bytes, cuts and repetitions; returns the new length. */
static size_t mutate(uint8_t *p, size_t n, uint64_t *state)
{
	static const uint8_t likely[] = "{}[]\",:0129-\\ \n\x00\x01\x7f\x80\xff";
	for (uint64_t k = 1 + next_random(state) % 4; k > 0 && n > 0; k--) {
		uint64_t r = next_random(state);
		size_t at = (size_t)(next_random(state) % n), some = (size_t)(r >> 8) % 16 + 1;
		switch (r % 5) {
		case 0:
			p[at] ^= (uint8_t)(1u << (r >> 16) % 8);
			break;
		case 1:
			p[at] = likely[(r >> 16) % (sizeof likely - 1)];
			break;
		case 2:
			p[at] = (uint8_t)(r >> 16);
			break;
		case 3: /* take some bytes out */
			some = some < n - at ? some : n - at;
			memmove(p + at, p + at + some, n - at - some);
			n -= some;
			break;
		case 4: /* say some bytes twice */
			some = some < n - at ? some : n - at;
			if (n + some <= INPUT_MAX) {
				memmove(p + at + some, p + at, n - at);
				n += some;
			}
			break;
		}
	}
	return n;
}

static long peak(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss; /* KiB */
}

/* What the first input costs is the harness's own, too. */
static void check_memory(size_t n)
{
	static long before;
	if (!before)
		before = peak();
	most = peak() - before;
	must(most <= MEMORY || most - MEMORY <= (long)(2 * n >> 10));
}

static void limit_time(int seconds)
{
	struct itimerval t = { .it_value.tv_sec = seconds };
	setitimer(ITIMER_PROF, &t, NULL);
	alarm((unsigned)seconds * 30); /* where it waits */
}

/* In a block of just the right size, so that ASan sees a step beyond it. */
static void run(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	must(copy);
	memcpy(copy, p, n);
	limit_time(SECONDS);
	LLVMFuzzerTestOneInput(copy, n);
	limit_time(0);
	check_memory(n);
	free(copy);
	runs++;
}

static int (*fail_new)(int on); /* of tests/fault/allocs.c */

/* Runs it once more; returns whether an allocation failed. What is not given back then stays so. */
static int run_failing(const uint8_t *p, size_t n)
{
	static jmp_buf way_out;
	harness_way_out = &way_out;
	limit_time(SECONDS);
	int lost = setjmp(way_out);
	if (!lost) {
		fail_new(1);
		LLVMFuzzerTestOneInput(p, n);
	}
	int failed = fail_new(0);
	ft_json_dropped();
	limit_time(0);
	harness_way_out = NULL;
	must(failed || !lost);
	runs++;
	return failed;
}

static void run_file(const char *path)
{
	static uint8_t input[INPUT_MAX], changed[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	if (!f)
		return;
	size_t n = fread(input, 1, sizeof input, f);
	fclose(f);
	current = path;
	mutation = 0;
	run(input, n);
	while (fail_new && run_failing(input, n))
		mutation++;
	uint64_t state = n;
	while (mutation++ < mutations) {
		memcpy(changed, input, n);
		run(changed, mutate(changed, n, &state));
	}
	files++;
}

static int not_hidden(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void run_path(const char *path)
{
	struct dirent **list;
	int n = scandir(path, &list, not_hidden, alphasort);
	if (n < 0) {
		run_file(path);
		return;
	}
	for (int i = 0; i < n; i++) {
		char file[4096];
		snprintf(file, sizeof file, "%s/%s", path, list[i]->d_name);
		run_file(file);
		free(list[i]);
	}
	free(list);
}

int main(int argc, char **argv)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGALRM, SIGPROF };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
	for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
		sigaction(fatal[i], &action, NULL);
	int at = 1;
	if (argc > 1 && strcmp(argv[1], "-a") == 0) {
		*(void **)&fail_new = dlsym(RTLD_DEFAULT, "allocs_fail_new");
		must(fail_new);
		struct rlimit open_files = { 4096, 4096 };
		setrlimit(RLIMIT_NOFILE, &open_files);
		at = 2;
	}
	if (argc > 2 && strcmp(argv[1], "-m") == 0) {
		mutations = atol(argv[2]);
		at = 3;
	}
	for (; at < argc; at++)
		run_path(argv[at]);
	printf("%ld files, %ld runs, %ld KiB\n", files, runs, most);
	return files ? 0 : 1;
}
