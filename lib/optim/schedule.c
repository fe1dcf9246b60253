/* schedule.c - the learning rate over the steps of a run. */
#include "ft/err.h"
#include "ft/optim.h"

#include <math.h>
#include <string.h>

enum { LINEAR, COSINE, CONSTANT };

int ft_schedule_parse(const char *name)
{
	static const char *const names[] = { [LINEAR] = "linear", [COSINE] = "cosine", [CONSTANT] = "constant" };
	for (int i = 0; i < 3; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return ft_fail(FT_EUSAGE, "'%s' is not a schedule; linear, cosine and constant are", name);
}

double ft_schedule(int schedule, int64_t step, int64_t warmup, int64_t total)
{
	if (step < warmup)
		return (double)step / (double)(warmup > 1 ? warmup : 1);
	if (schedule == CONSTANT)
		return 1;
	double left = total > warmup ? (double)(total - step) / (double)(total - warmup) : 0;
	if (left < 0)
		left = 0;
	return schedule == LINEAR ? left : 0.5 * (1 + cos(3.141592653589793 * (1 - left)));
}
