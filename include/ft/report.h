/* report.h - what ft-train and ft-eval printed, read back: curves and pages.
 *
 * A run is what one file holds: lines of a training log (JSON objects with a
 * "step"), results of ft-eval, or both.
 */
#ifndef FT_REPORT_H
#define FT_REPORT_H

#include "ft/json.h"
#include "ft/mem.h"

/* One number over the steps. */
struct ft_curve {
	char *name;    /* its path in the log: "loss", "valid.accuracy" */
	double *x, *y; /* [n]: step, value */
	size_t n, x_cap, y_cap;
};

struct ft_run {
	char *name;
	struct ft_curve *curve; /* [count], in the order in which they appear */
	size_t count, cap;
	json_t *result;         /* the last result of ft-eval; or NULL */
};

/* Reads a file, or stdin (NULL or "-"), into *run. Anything else than such
 * lines is FT_EFORMAT with file:line. */
int ft_run_read(struct ft_run *run, const char *path);
void ft_run_free(struct ft_run *run); /* leaves {0} */
/* NULL: there is none of that name. */
const struct ft_curve *ft_run_curve(const struct ft_run *run, const char *name);

/* Exponential mean over about `window` steps, corrected for its start, as Adam
 * corrects its moments; out [c->n]. A window below 2 copies. */
void ft_curve_smooth(const struct ft_curve *c, double window, double *out);

/* Appends a page of HTML that needs no other file: curves as SVG, tables,
 * confusion matrices. `window` smooths training curves. */
int ft_report_html(struct ft_buf *out, const struct ft_run *run, size_t runs, double window);

#endif
