/* signals.c - signals that leave a mark, or last words. */
#include "ft/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1 }; /* the last one is to save */
#define COUNT (sizeof numbers / sizeof *numbers)

static struct sigaction before[COUNT];
static bool caught[COUNT];
static volatile sig_atomic_t stop, save;
static const char *volatile last_words;
static int woken = -1, to_save = -1; /* can be read from once `stop` is set, `save` */
static void (*meanwhile)(void *);
static void *meanwhile_ctx;

/* The process ends as if the signal had never been caught. */
static void die_of(int number)
{
	struct sigaction plain = { .sa_handler = SIG_DFL };
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, number);
	sigaction(number, &plain, NULL);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* inside its handler a signal is blocked */
}

static void wake(int fd)
{
	ssize_t n = write(fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	(void)n; /* without it a read that waits is interrupted, if it waits by now */
}

static void mark_stop(int number)
{
	stop = number;
	wake(woken);
}

static void on_save(int number)
{
	(void)number;
	save = 1;
	wake(to_save);
}

static void on_stop(int number)
{
	const char *words = last_words;
	ssize_t heard = words ? write(STDERR_FILENO, words, strlen(words)) : 0;
	(void)heard; /* it may be that nobody is left to hear them */
	if (words || stop)
		die_of(number);
	mark_stop(number);
}

static void catch(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		/* No SA_RESTART: a read that waits is to return. */
		struct sigaction a = { .sa_handler = i + 1 == COUNT ? on_save : on_stop };
		if (caught[i] || sigaction(numbers[i], NULL, &before[i]) < 0 || before[i].sa_handler == SIG_IGN)
			continue;
		caught[i] = sigaction(numbers[i], &a, NULL) == 0;
	}
}

void ft_signals_catch(void)
{
	if (woken < 0)
		woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (to_save < 0)
		to_save = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	catch(0, COUNT);
}

void ft_signals_words(const char *words)
{
	last_words = words;
	catch(0, COUNT - 1);
}

void ft_signals_release(void)
{
	for (size_t i = 0; i + 1 < COUNT; i++) {
		if (caught[i])
			sigaction(numbers[i], &before[i], NULL);
		caught[i] = false;
	}
	last_words = NULL;
}

int ft_signals_stop(void)
{
	return stop;
}

bool ft_signals_save(void)
{
	bool asked = save;
	if (asked)
		save = 0;
	return asked;
}

void ft_signals_take(int signal)
{
	if (signal == numbers[COUNT - 1])
		save = 1;
	else if (!stop)
		mark_stop(signal);
}

void ft_signals_meanwhile(void (*f)(void *), void *ctx)
{
	meanwhile = f;
	meanwhile_ctx = ctx;
}

static void hear(void)
{
	uint64_t times;
	ssize_t n = read(to_save, &times, sizeof times);
	(void)n;
	if (meanwhile)
		meanwhile(meanwhile_ctx);
}

/* A signal that comes between a look at the mark and read() would be seen after the read only. */
bool ft_signals_wait(int fd)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = woken, .events = POLLIN },
	                      { .fd = to_save, .events = POLLIN } };
	if (woken < 0)
		return true;
	for (;;) {
		int n = poll(p, sizeof p / sizeof *p, -1);
		if (n > 0 && p[2].revents)
			hear();
		if (n < 0 ? errno != EINTR : p[0].revents || p[1].revents)
			return n < 0 || p[0].revents;
	}
}

const char *ft_signals_name(int number)
{
	static _Thread_local char name[32];
	const char *short_name = sigabbrev_np(number);
	if (short_name)
		snprintf(name, sizeof name, "SIG%s", short_name);
	else
		snprintf(name, sizeof name, "signal %d", number);
	return name;
}

void ft_signals_raise(void)
{
	if (stop)
		die_of(stop);
}
