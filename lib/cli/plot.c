/* plot.c - curves in a terminal: a canvas of dots, axes, a legend. */
#include "ft/plot.h"
#include "ft/err.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LABEL 9 /* columns of the y axis: its numbers and the line */

bool ft_plot_unicode(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	const char *locale = NULL, *term = getenv("TERM");
	for (size_t i = 0; i < 3 && !(locale && *locale); i++)
		locale = getenv(names[i]);
	/* The Linux console's fonts have no braille. */
	if (!locale || (term && (strcmp(term, "linux") == 0 || strcmp(term, "dumb") == 0)))
		return false;
	const char *charset = strchr(locale, '.');
	return charset && (strncasecmp(charset, ".utf-8", 6) == 0 || strncasecmp(charset, ".utf8", 5) == 0);
}

double ft_plot_step(double range, int most)
{
	double rough = range / (most > 0 ? most : 1), power = pow(10.0, floor(log10(rough)));
	double part = rough / power; /* 1 .. 10 */
	return power * (part <= 1.0 + 1e-9 ? 1.0 : part <= 2.0 ? 2.0 : part <= 5.0 ? 5.0 : 10.0);
}

struct canvas {
	int cols, rows;        /* cells */
	int dx, dy;            /* dots in a cell: 2 x 4, or 1 x 1 in ASCII */
	double x0, x1, y0, y1; /* what the left, right, lower and upper edges stand for */
	unsigned char *dots;   /* [rows, cols]: bits of the braille pattern */
	unsigned char *series; /* [rows, cols]: 1 + the series drawn there last; 0: nothing */
	bool *mark;            /* [rows, cols]: a mark instead of dots */
};

/* ---- extent ---- */

static bool finite_point(const struct ft_series *s, size_t i)
{
	return isfinite(s->x[i]) && isfinite(s->y[i]);
}

/* Sets the edges to those of the points, y to whole steps around them. */
static bool find_extent(struct canvas *c, const struct ft_plot *p)
{
	bool any = false;
	for (size_t k = 0; k < p->count; k++) {
		const struct ft_series *s = &p->series[k];
		for (size_t i = 0; i < s->n; i++) {
			if (!finite_point(s, i))
				continue;
			c->x0 = any ? fmin(c->x0, s->x[i]) : s->x[i];
			c->x1 = any ? fmax(c->x1, s->x[i]) : s->x[i];
			c->y0 = any ? fmin(c->y0, s->y[i]) : s->y[i];
			c->y1 = any ? fmax(c->y1, s->y[i]) : s->y[i];
			any = true;
		}
	}
	if (!any)
		return false;
	double least = 1e-9 * (fabs(c->y0) + fabs(c->y1)) + 1e-300;
	if (c->y1 - c->y0 <= least) { /* a flat line lies in the middle */
		double room = c->y0 != 0.0 ? fabs(c->y0) * 0.5 : 1.0;
		c->y0 -= room;
		c->y1 += room;
	}
	if (c->x1 <= c->x0)
		c->x1 = c->x0 + 1.0;
	double step = ft_plot_step(c->y1 - c->y0, 4);
	c->y0 = floor(c->y0 / step + 1e-9) * step;
	c->y1 = ceil(c->y1 / step - 1e-9) * step;
	return true;
}

/* ---- dots ---- */

static int scale(double v, double from, double to, int dots)
{
	int at = (int)lround((v - from) / (to - from) * (dots - 1));
	return at < 0 ? 0 : at >= dots ? dots - 1 : at;
}

/* Sets the dot at column x, row y from the top. */
static void set_dot(struct canvas *c, int x, int y, size_t series)
{
	/* The bits of U+2800 by column and row. */
	static const unsigned char bit[2][4] = { { 0x01, 0x02, 0x04, 0x40 }, { 0x08, 0x10, 0x20, 0x80 } };
	int at = y / c->dy * c->cols + x / c->dx;
	c->dots[at] |= bit[x % c->dx][y % c->dy];
	c->series[at] = (unsigned char)(series % 255 + 1);
}

static void draw_line(struct canvas *c, int x, int y, int x2, int y2, size_t series)
{
	int dx = abs(x2 - x), dy = -abs(y2 - y), sx = x < x2 ? 1 : -1, sy = y < y2 ? 1 : -1, error = dx + dy;
	for (;;) { /* Bresenham */
		set_dot(c, x, y, series);
		if (x == x2 && y == y2)
			return;
		int twice = 2 * error;
		if (twice >= dy) {
			error += dy;
			x += sx;
		}
		if (twice <= dx) {
			error += dx;
			y += sy;
		}
	}
}

static void draw_series(struct canvas *c, const struct ft_plot *p, size_t k, bool points)
{
	const struct ft_series *s = &p->series[k];
	int lastx = -1, lasty = -1;
	for (size_t i = 0; i < s->n; i++) {
		if (!finite_point(s, i)) {
			lastx = -1;
			continue;
		}
		int x = scale(s->x[i], c->x0, c->x1, c->cols * c->dx);
		int y = c->rows * c->dy - 1 - scale(s->y[i], c->y0, c->y1, c->rows * c->dy);
		if (points) {
			c->mark[y / c->dy * c->cols + x / c->dx] = true;
			c->series[y / c->dy * c->cols + x / c->dx] = (unsigned char)(k % 255 + 1);
			continue;
		}
		draw_line(c, lastx < 0 ? x : lastx, lastx < 0 ? y : lasty, x, y, k);
		lastx = x;
		lasty = y;
	}
}

/* Without colours only one line can be braille: further ones are marks. */
static bool as_points(const struct ft_plot *p, size_t k)
{
	if (p->series[k].points || !p->unicode || p->colour)
		return p->series[k].points;
	for (size_t i = 0; i < k; i++)
		if (!p->series[i].points)
			return true;
	return false;
}

/* ---- text ---- */

static const char *mark_of(const struct ft_plot *p, size_t k, bool points)
{
	static const char *const ascii[] = { "*", "o", "+", "x", "#", "@" };
	static const char *const unicode[] = { "●", "○", "◆", "◇", "▲", "△" };
	static const char *const lines[] = { ".", ":", "'", "-", "~", "=" };
	if (!points)
		return p->unicode ? "─" : lines[k % 6];
	return (p->unicode ? unicode : ascii)[k % 6];
}

static int put(struct ft_buf *out, const char *text)
{
	return ft_buf_append(out, text, strlen(text));
}

/* Text in the colour of series k. */
static int put_coloured(struct ft_buf *out, const struct ft_plot *p, size_t k, const char *text)
{
	static const int colour[] = { 36, 33, 35, 32, 34, 31 };
	if (!p->colour)
		return put(out, text);
	return ft_buf_printf(out, "\033[%dm%s\033[0m", colour[k % 6], text);
}

static int put_cell(struct ft_buf *out, const struct ft_plot *p, const struct canvas *c, int at)
{
	if (!c->series[at])
		return put(out, " ");
	size_t k = c->series[at] - 1u;
	if (c->mark[at])
		return put_coloured(out, p, k, mark_of(p, k, true));
	if (!p->unicode)
		return put_coloured(out, p, k, mark_of(p, k, false));
	/* U+2800 + dots in UTF-8. */
	unsigned char d = c->dots[at];
	char text[4] = { (char)0xE2, (char)(0xA0 | d >> 6), (char)(0x80 | (d & 0x3F)), 0 };
	return put_coloured(out, p, k, text);
}

/* The axis number of a row, or an empty text where no step falls into it. */
static void row_label(const struct canvas *c, int row, char *text, size_t size)
{
	double step = ft_plot_step(c->y1 - c->y0, 4);
	int places = step < 1.0 ? (int)ceil(-log10(step) - 1e-9) : 0;
	text[0] = '\0';
	for (double k = round(c->y0 / step); k * step <= c->y1 + step * 1e-6; k++) {
		if (c->rows - 1 - scale(k * step, c->y0, c->y1, c->rows) != row)
			continue;
		double v = k * step;
		if (places <= 5 && fabs(v) < 1e5)
			snprintf(text, size, "%.*f", places, v);
		else
			snprintf(text, size, "%.2g", v);
	}
}

static int put_rows(struct ft_buf *out, const struct ft_plot *p, const struct canvas *c)
{
	int rc = FT_OK;
	for (int row = 0; row < c->rows && rc == FT_OK; row++) {
		char label[32];
		row_label(c, row, label, sizeof label);
		const char *line = p->unicode ? (*label ? "┤" : "│") : (*label ? "+" : "|");
		rc = ft_buf_printf(out, "%*s %s", LABEL - 2, label, line);
		for (int col = 0; col < c->cols && rc == FT_OK; col++)
			rc = put_cell(out, p, c, row * c->cols + col);
		while (out->len && out->data[out->len - 1] == ' ')
			out->len--; /* no spaces at the end of a line */
		if (rc == FT_OK)
			rc = put(out, "\n");
	}
	return rc;
}

/* The x axis, its ends, and what it counts. */
static int put_axis(struct ft_buf *out, const struct ft_plot *p, const struct canvas *c)
{
	char first[32], last[32];
	int rc = ft_buf_printf(out, "%*s%s", LABEL - 1, "", p->unicode ? "└" : "+");
	for (int i = 0; i < c->cols && rc == FT_OK; i++)
		rc = put(out, p->unicode ? "─" : "-");
	snprintf(first, sizeof first, "%.6g", c->x0);
	snprintf(last, sizeof last, "%.6g", c->x1);
	const char *name = p->x_name ? p->x_name : "";
	int used = (int)(strlen(first) + strlen(last) + strlen(name));
	int gap = c->cols - used < 2 ? 2 : c->cols - used;
	if (rc == FT_OK)
		rc = ft_buf_printf(out, "\n%*s%s%*s%s%*s%s\n", LABEL, "", first, gap / 2, "", name, gap - gap / 2, "",
		                   last);
	return rc;
}

static int put_legend(struct ft_buf *out, const struct ft_plot *p)
{
	int rc = ft_buf_printf(out, "%*s", LABEL, "");
	for (size_t k = 0; k < p->count && rc == FT_OK; k++) {
		bool points = as_points(p, k);
		if (k)
			rc = put(out, "   ");
		if (rc == FT_OK)
			rc = put_coloured(out, p, k, mark_of(p, k, points));
		if (rc == FT_OK && !points)
			rc = put_coloured(out, p, k, mark_of(p, k, points));
		if (rc == FT_OK)
			rc = ft_buf_printf(out, " %s", p->series[k].name ? p->series[k].name : "");
	}
	return rc == FT_OK ? put(out, "\n") : rc;
}

int ft_plot_draw(struct ft_buf *out, const struct ft_plot *p)
{
	int width = p->width ? p->width : 78, height = p->height ? p->height : 16;
	struct canvas c = {
		.cols = width - LABEL < 10 ? 10 : width - LABEL,
		.rows = height - 4 < 3 ? 3 : height - 4, /* title, axis, its numbers, legend */
		.dx = p->unicode ? 2 : 1,
		.dy = p->unicode ? 4 : 1,
	};
	if (!find_extent(&c, p))
		return ft_buf_printf(out, "%s: there is nothing to draw\n", p->title ? p->title : "plot");
	size_t cells = (size_t)c.cols * (size_t)c.rows;
	c.dots = ft_alloc(cells, sizeof *c.dots);
	c.series = ft_alloc(cells, sizeof *c.series);
	c.mark = ft_alloc(cells, sizeof *c.mark);
	int rc = c.dots && c.series && c.mark ? FT_OK : FT_EFAIL;
	for (int pass = 0; pass < 2; pass++) /* marks over lines */
		for (size_t k = 0; k < p->count && rc == FT_OK; k++)
			if (as_points(p, k) == (pass == 1))
				draw_series(&c, p, k, pass == 1);
	if (rc == FT_OK && p->title)
		rc = ft_buf_printf(out, "%*s%s\n", LABEL, "", p->title);
	if (rc == FT_OK)
		rc = put_rows(out, p, &c);
	if (rc == FT_OK)
		rc = put_axis(out, p, &c);
	if (rc == FT_OK)
		rc = put_legend(out, p);
	free(c.dots);
	free(c.series);
	free(c.mark);
	return rc;
}
