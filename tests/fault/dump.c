/* dump.c - linked into programs that count their lines: one that ends itself by a signal writes its counts before. */
#include <pthread.h>
#include <signal.h>

void __gcov_dump(void);

int raise(int number)
{
	__gcov_dump();
	return pthread_kill(pthread_self(), number);
}
