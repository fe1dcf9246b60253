/* signals.h - a long run that is asked to stop, or to save what it has.
 *
 * Caught signals only leave a mark, at which a loop looks where stopping is cheap.
 * Reads of a stream that wait for data end with a failure when the mark to stop is
 * there. A second signal to stop ends the process at once. Signals that were ignored
 * from the outset (nohup, background jobs of a shell) stay ignored.
 */
#ifndef FT_SIGNALS_H
#define FT_SIGNALS_H

#include <stdbool.h>

/* Catches SIGINT, SIGTERM and SIGHUP (to stop) and SIGUSR1 (to save). */
void ft_signals_catch(void);
/* Lets the signals to stop end the process at once, as they do by themselves, but with these
 * words on stderr before. Borrowed until ft_signals_release(). */
void ft_signals_words(const char *words);
/* Signals to stop do again what they did before. SIGUSR1 does nothing from now on. */
void ft_signals_release(void);
int ft_signals_stop(void);     /* the signal that asked to stop; 0: none did */
/* Waits until read() from fd would not. False: it would, and a signal asked to stop. Where signals are not caught it
 * is true at once. */
bool ft_signals_wait(int fd);
/* What to do when SIGUSR1 comes while ft_signals_wait() waits, in the thread that does. NULL: nothing. */
void ft_signals_meanwhile(void (*f)(void *ctx), void *ctx);
bool ft_signals_save(void);    /* whether SIGUSR1 came since this was asked last */
const char *ft_signals_name(int signal); /* "SIGTERM"; valid until the next call */
/* As if the signal had come to this process, which catches it. */
void ft_signals_take(int signal);
/* The process dies of the signal that asked to stop, if one did. */
void ft_signals_raise(void);

#endif
