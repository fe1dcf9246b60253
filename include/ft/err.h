/* err.h - one error convention for the whole library.
 *
 * A function that can fail returns 0 (or a count) on success and a negative
 * FT_E... code on failure; a constructor returns NULL. The place that fails
 * writes one sentence with ft_fail(); callers may put a place before it with
 * ft_context(). The library never prints, exits or aborts: a tool's main
 * prints the finished line once, as `tool: file: line: field: reason`.
 *
 * The message is kept per thread and overwritten by the next failure.
 */
#ifndef FT_ERR_H
#define FT_ERR_H

/* X(name, exit code, meaning): the codes, once. */
#define FT_ERRORS(X)                                                           \
	X(FT_EFAIL, 1, "failure of input/output or memory")                    \
	X(FT_EUSAGE, 2, "wrong use of an option or operand")                   \
	X(FT_ECRITERION, 3, "a criterion was not met")                         \
	X(FT_EFORMAT, 65, "malformed input")                                   \
	X(FT_ELOCKED, 75, "locked by another run")                             \
	X(FT_ECUT, 76, "a stream ended early or was aborted upstream")         \
	X(FT_EMATCH, 78, "inputs contradict each other")

/* Each code is its exit status, negated, so that no second table is needed. */
enum ft_error {
	FT_OK = 0,
#define X(name, status, meaning) name = -(status),
	FT_ERRORS(X)
#undef X
};

/* Sets the message and returns `code`: `return ft_fail(FT_EFORMAT, "…", …);`.
 * Control characters that came from a file, and what is not UTF-8, are escaped, long text is cut. */
int ft_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As ft_fail, and adds ": " and the text of the current errno. FT_EFAIL. */
int ft_fail_errno(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "out of memory" with the size asked for. Returns FT_EFAIL. */
int ft_fail_memory(unsigned long long bytes);

/* Puts "prefix: " before the current message. Returns `code` unchanged. */
int ft_context(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The message of this thread's last failure; "" when there was none. */
const char *ft_message(void);

/* The code of this thread's last failure; FT_EFAIL when there was none. For
 * callers of constructors, which return only NULL. */
int ft_last_error(void);

#endif
