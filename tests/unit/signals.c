/* signals.c - a mark, last words, and the status of a process that was asked to stop. */
#include "ft/signals.h"
#include "ft/stream.h"
#include "tests/tap.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs f in a process of its own, whose stderr goes to `said`. Returns how it ended: -signal or status. */
static int child(void (*f)(void), char said[64])
{
	int ends[2], status = 0;
	if (pipe(ends) < 0)
		return 1000;
	pid_t pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		signal(SIGINT, SIG_DFL); /* as a background job it would be ignored */
		f();
		_exit(ft_signals_stop());
	}
	close(ends[1]);
	ssize_t n = read(ends[0], said, 63);
	said[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void once(void)
{
	ft_signals_catch();
	raise(SIGTERM);
}

static void twice(void)
{
	once();
	raise(SIGINT);
}

static void raised_again(void)
{
	once();
	ft_signals_raise();
}

static void saves(void)
{
	ft_signals_catch();
	raise(SIGUSR1);
	raise(SIGUSR1);
	bool first = ft_signals_save();
	_exit(first && !ft_signals_save() ? 42 : 1);
}

static void ignored(void)
{
	signal(SIGHUP, SIG_IGN);
	ft_signals_catch();
	raise(SIGHUP);
}

static void words(void)
{
	ft_signals_words("farewell");
	raise(SIGINT);
}

static void released(void)
{
	ft_signals_catch();
	ft_signals_release();
	raise(SIGHUP);
}

/* Nothing is in the pipe, and nothing will be: whoever reads waits for ever. */
static void before_a_read(void)
{
	int ends[2];
	if (pipe(ends) < 0 || dup2(ends[0], STDIN_FILENO) < 0)
		_exit(99);
	alarm(20);
	once();
	_exit(ft_reader_open("-", "batch") ? 1 : ft_signals_stop());
}

static void with_data(void)
{
	int ends[2];
	char c;
	if (pipe(ends) < 0)
		_exit(99);
	bool plain = ft_signals_wait(ends[0]); /* nothing is caught: read() is what waits */
	once();
	bool empty = ft_signals_wait(ends[0]), full = write(ends[1], "x", 1) == 1 && ft_signals_wait(ends[0]);
	bool read_on = read(ends[0], &c, 1) == 1;
	close(ends[1]);
	_exit(plain && !empty && full && read_on && ft_signals_wait(ends[0]) ? 42 : 1);
}

/* What came to another rank. */
static void taken(void)
{
	int ends[2];
	if (pipe(ends) < 0)
		_exit(99);
	ft_signals_catch();
	ft_signals_take(SIGHUP);
	_exit(ft_signals_wait(ends[0]) ? 1 : ft_signals_stop());
}

int main(void)
{
	char said[64];
	signal(SIGHUP, SIG_DFL); /* nohup has ignored it */
	is_int(child(once, said), SIGTERM, "a signal leaves a mark");
	is_int(child(twice, said), -SIGINT, "a second one ends the process");
	is_int(child(raised_again, said), -SIGTERM, "the first one can be raised again");
	is_int(child(saves, said), 42, "to be asked to save is told once");
	is_int(child(ignored, said), 0, "what was ignored stays ignored");
	is_int(child(before_a_read, said), SIGTERM, "a mark that is there before a read ends it");
	is_int(child(with_data, said), 42, "what can be read still is, and the end");
	is_int(child(taken, said), SIGHUP, "what another took for us ends a read, too");
	is_int(child(words, said), -SIGINT, "with last words the first one ends it");
	is_str(said, "farewell", "and they are said");
	is_int(child(released, said), -SIGHUP, "released, all is as before");
	is_str(ft_signals_name(SIGTERM), "SIGTERM", "signals have names");
	return tap_done();
}
