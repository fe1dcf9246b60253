/* plot.h - curves in a terminal.
 *
 * Lines are drawn in braille dots (2 x 4 to a character) where the terminal
 * shows UTF-8, else in ASCII. Nothing is printed: the drawing is text appended
 * to a buffer.
 */
#ifndef FT_PLOT_H
#define FT_PLOT_H

#include "ft/mem.h"
#include <stdbool.h>
#include <stddef.h>

struct ft_series {
	const char *name;
	const double *x, *y; /* [n]; a point that is not finite is left out */
	size_t n;
	bool points;         /* a mark at each point instead of a line */
};

struct ft_plot {
	const char *title;   /* or NULL */
	const char *x_name;  /* what x counts, or NULL */
	int width, height;   /* of the drawing, in characters; 0: 78 x 16 */
	bool unicode, colour;
	const struct ft_series *series;
	size_t count;
};

/* Whether the locale (LC_ALL, LC_CTYPE, LANG) and TERM promise UTF-8. */
bool ft_plot_unicode(void);

/* Appends the drawing. Without any finite point it says so in one line. */
int ft_plot_draw(struct ft_buf *out, const struct ft_plot *p);

/* A step of 1, 2 or 5 times a power of ten that cuts `range` (> 0) into at most
 * `most` parts. */
double ft_plot_step(double range, int most);

#endif
