/* signals.c - a mark, last words, and the status of a process that was asked to stop. */
#include "ft/signals.h"
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

int main(void)
{
	char said[64];
	signal(SIGHUP, SIG_DFL); /* nohup has ignored it */
	is_int(child(once, said), SIGTERM, "a signal leaves a mark");
	is_int(child(twice, said), -SIGINT, "a second one ends the process");
	is_int(child(raised_again, said), -SIGTERM, "the first one can be raised again");
	is_int(child(saves, said), 42, "to be asked to save is told once");
	is_int(child(ignored, said), 0, "what was ignored stays ignored");
	is_int(child(words, said), -SIGINT, "with last words the first one ends it");
	is_str(said, "farewell", "and they are said");
	is_int(child(released, said), -SIGHUP, "released, all is as before");
	is_str(ft_signals_name(SIGTERM), "SIGTERM", "signals have names");
	return tap_done();
}
