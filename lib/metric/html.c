/* html.c - a report as one page of HTML: no script, no other file.
 *
 * Names come from files and are escaped. Nothing depends on the clock, so equal
 * logs give equal pages.
 */
#include "ft/err.h"
#include "ft/metric.h"
#include "ft/plot.h"
#include "ft/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 760
#define HEIGHT 300
#define LEFT 60
#define BOTTOM 36
#define TOP 12
#define RIGHT 12
#define POINTS 1000 /* of a drawn line at most */
#define COLOURS 6

static const char style[] =
	":root{color-scheme:light dark;--ink:#1d1f24;--dim:#6b7280;--grid:#d9dce3;--page:#fff;"
	"--s0:#2563eb;--s1:#d97706;--s2:#9333ea;--s3:#059669;--s4:#db2777;--s5:#dc2626}\n"
	"@media(prefers-color-scheme:dark){:root{--ink:#e6e8ee;--dim:#9aa1ae;--grid:#363b46;--page:#15171c;"
	"--s0:#60a5fa;--s1:#fbbf24;--s2:#c084fc;--s3:#34d399;--s4:#f472b6;--s5:#f87171}}\n"
	"body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:800px;"
	"margin:2em auto;padding:0 1em}\n"
	"h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}svg{width:100%;height:auto}\n"
	"svg text{fill:var(--dim);font-size:12px}.grid{stroke:var(--grid)}.axis{stroke:var(--dim)}\n"
	".line{fill:none;stroke-width:2;stroke-linejoin:round}.raw{fill:none;opacity:.25}\n"
	"table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
	"th,td{padding:.25em .8em;text-align:right}th:first-child,td:first-child{text-align:left}\n"
	"thead th{border-bottom:1px solid var(--grid);font-weight:600}\n"
	".confusion td{min-width:3em;text-align:center}.key{display:inline-block;width:1em;height:.3em;"
	"margin:0 .4em .2em 1em;vertical-align:middle}\n";

/* Appends text with what HTML would take for itself escaped. */
static int put_text(struct ft_buf *out, const char *s)
{
	int rc = FT_OK;
	for (; *s && rc == FT_OK; s++) {
		switch (*s) {
		case '&': rc = ft_buf_append(out, "&amp;", 5); break;
		case '<': rc = ft_buf_append(out, "&lt;", 4); break;
		case '>': rc = ft_buf_append(out, "&gt;", 4); break;
		case '"': rc = ft_buf_append(out, "&quot;", 6); break;
		default: rc = ft_buf_append(out, s, 1);
		}
	}
	return rc;
}

/* Appends literal, text, literal. */
static int put_in(struct ft_buf *out, const char *before, const char *text, const char *after)
{
	int rc = ft_buf_append(out, before, strlen(before));
	if (rc == FT_OK)
		rc = put_text(out, text);
	return rc == FT_OK ? ft_buf_append(out, after, strlen(after)) : rc;
}

/* ---- curves ---- */

struct frame {
	double x0, x1, y0, y1;
	bool any;
};

static void widen(struct frame *f, const struct ft_curve *c)
{
	for (size_t i = 0; c && i < c->n; i++) {
		if (!isfinite(c->x[i]) || !isfinite(c->y[i]))
			continue;
		f->x0 = f->any ? fmin(f->x0, c->x[i]) : c->x[i];
		f->x1 = f->any ? fmax(f->x1, c->x[i]) : c->x[i];
		f->y0 = f->any ? fmin(f->y0, c->y[i]) : c->y[i];
		f->y1 = f->any ? fmax(f->y1, c->y[i]) : c->y[i];
		f->any = true;
	}
}

static double at_x(const struct frame *f, double x)
{
	return LEFT + (x - f->x0) / (f->x1 - f->x0) * (WIDTH - LEFT - RIGHT);
}

static double at_y(const struct frame *f, double y)
{
	return HEIGHT - BOTTOM - (y - f->y0) / (f->y1 - f->y0) * (HEIGHT - BOTTOM - TOP);
}

/* Whole steps around the data, and the grid with its numbers. */
static int put_grid(struct ft_buf *out, struct frame *f)
{
	if (f->x1 <= f->x0)
		f->x1 = f->x0 + 1.0;
	if (!(f->y1 - f->y0 > 1e-9 * (fabs(f->y0) + fabs(f->y1)))) {
		f->y0 -= 0.5;
		f->y1 += 0.5;
	}
	double dy = ft_plot_step(f->y1 - f->y0, 5), dx = ft_plot_step(f->x1 - f->x0, 8);
	f->y0 = floor(f->y0 / dy + 1e-9) * dy;
	f->y1 = ceil(f->y1 / dy - 1e-9) * dy;
	int rc = ft_buf_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDTH, HEIGHT);
	for (int k = 0; f->y0 + k * dy <= f->y1 + 0.5 * dy && k < 20 && rc == FT_OK; k++) {
		double v = f->y0 + k * dy, y = at_y(f, v);
		rc = ft_buf_printf(out,
		                   "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
		                   "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n",
		                   LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y + 4.0, fabs(v) < 1e-9 * dy ? 0.0 : v);
	}
	for (double v = ceil(f->x0 / dx) * dx, k = 0; v <= f->x1 && k < 20 && rc == FT_OK; v += dx, k++)
		rc = ft_buf_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.6g</text>\n", at_x(f, v),
		                   HEIGHT - BOTTOM + 18, v);
	return rc < 0 ? rc
	              : ft_buf_printf(out, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n", LEFT,
	                              WIDTH - RIGHT, HEIGHT - BOTTOM, HEIGHT - BOTTOM);
}

/* A line through the values y of the curve, at most POINTS of them. */
static int put_line(struct ft_buf *out, const struct frame *f, const struct ft_curve *c, const double *y,
                    const char *class, size_t colour)
{
	size_t stride = c->n / POINTS + 1;
	int rc = ft_buf_printf(out, "<polyline class=\"%s\" style=\"stroke:var(--s%zu)\" points=\"", class, colour);
	for (size_t i = 0; i < c->n && rc == FT_OK; i += stride) {
		if (c->n - i <= stride)
			i = c->n - 1; /* the last point always */
		if (isfinite(c->x[i]) && isfinite(y[i]))
			rc = ft_buf_printf(out, "%.1f,%.1f ", at_x(f, c->x[i]), at_y(f, y[i]));
	}
	return rc == FT_OK ? ft_buf_printf(out, "\"/>\n") : rc;
}

/* Points with their values as tooltips, and a thin line between them. */
static int put_points(struct ft_buf *out, const struct frame *f, const struct ft_curve *c, size_t colour)
{
	int rc = put_line(out, f, c, c->y, "raw", colour);
	for (size_t i = 0; i < c->n && rc == FT_OK && c->n <= POINTS; i++)
		if (isfinite(c->x[i]) && isfinite(c->y[i]))
			rc = ft_buf_printf(out,
			                   "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" style=\"fill:var(--s%zu)\">"
			                   "<title>step %.9g: %.6g</title></circle>\n",
			                   at_x(f, c->x[i]), at_y(f, c->y[i]), colour, c->x[i], c->y[i]);
	return rc;
}

static int put_smooth(struct ft_buf *out, const struct frame *f, const struct ft_curve *c, double window,
                      size_t colour)
{
	double *y = ft_alloc(c->n, sizeof *y);
	if (!y)
		return FT_EFAIL;
	ft_curve_smooth(c, window, y);
	int rc = put_line(out, f, c, c->y, "raw", colour);
	if (rc == FT_OK)
		rc = put_line(out, f, c, y, "line", colour);
	free(y);
	return rc;
}

static int put_key(struct ft_buf *out, size_t colour, const char *run, const char *what)
{
	int rc = ft_buf_printf(out, "<span class=\"key\" style=\"background:var(--s%zu)\"></span>",
	                       colour % COLOURS);
	return rc == FT_OK ? put_in(out, "", run, what) : rc;
}

/* Two curves that share a figure: `line` is smoothed, `points` is not; either
 * may be NULL. */
struct figure {
	const char *title, *line, *points;
	double window;
};

static const struct ft_curve *find(const struct ft_run *run, const char *name)
{
	return name ? ft_run_curve(run, name) : NULL;
}

static int put_keys(struct ft_buf *out, const struct ft_run *run, size_t runs, const struct figure *figure)
{
	int rc = ft_buf_printf(out, "<p>");
	for (size_t i = 0; i < runs && rc == FT_OK; i++) {
		if (find(&run[i], figure->line))
			rc = put_key(out, 2 * i, run[i].name, ": training");
		if (find(&run[i], figure->points) && rc == FT_OK)
			rc = put_key(out, 2 * i + 1, run[i].name, ": validation");
	}
	return rc == FT_OK ? ft_buf_printf(out, "</p>\n") : rc;
}

/* The figure with a line and points for each run; nothing when there are none. */
static int put_figure(struct ft_buf *out, const struct ft_run *run, size_t runs, const struct figure *figure)
{
	struct frame f = { 0 };
	for (size_t i = 0; i < runs; i++) {
		widen(&f, find(&run[i], figure->line));
		widen(&f, find(&run[i], figure->points));
	}
	if (!f.any)
		return FT_OK;
	int rc = put_in(out, "<h2>", figure->title, "</h2>\n");
	if (rc == FT_OK)
		rc = put_grid(out, &f);
	for (size_t i = 0; i < runs && rc == FT_OK; i++) {
		const struct ft_curve *line = find(&run[i], figure->line), *points = find(&run[i], figure->points);
		if (line)
			rc = put_smooth(out, &f, line, figure->window, 2 * i % COLOURS);
		if (points && rc == FT_OK)
			rc = put_points(out, &f, points, (2 * i + 1) % COLOURS);
	}
	if (rc == FT_OK)
		rc = ft_buf_printf(out, "</svg>\n");
	return rc == FT_OK ? put_keys(out, run, runs, figure) : rc;
}

/* ---- results of ft-eval ---- */

static int put_number(struct ft_buf *out, const json_t *v)
{
	if (json_is_integer(v))
		return ft_buf_printf(out, "<td>%" JSON_INTEGER_FORMAT "</td>", json_integer_value(v));
	if (json_is_real(v))
		return ft_buf_printf(out, "<td>%.4f</td>", json_real_value(v));
	return ft_buf_printf(out, "<td>–</td>");
}

static int put_metrics(struct ft_buf *out, const json_t *result)
{
	int rc = ft_buf_printf(out, "<table><thead><tr><th>metric</th><th>value</th>"
	                            "<th>standard error</th></tr></thead>\n");
	const struct ft_metric_info *info;
	for (size_t i = 0; (info = ft_metric_info(i)) && rc == FT_OK; i++) {
		double v, error;
		if (ft_metric_lookup(result, info->name, &v) < 0)
			continue;
		rc = put_in(out, "<tr><td>", info->name, "</td>");
		if (rc == FT_OK)
			rc = isfinite(v) ? ft_buf_printf(out, "<td>%.4f</td>", v) : ft_buf_printf(out, "<td>–</td>");
		if (ft_metric_lookup(json_object_get(result, "stderr"), info->name, &error) < 0)
			error = NAN;
		if (rc == FT_OK && isfinite(error))
			rc = ft_buf_printf(out, "<td>%.4f</td>", error);
		if (rc == FT_OK)
			rc = ft_buf_printf(out, "</tr>\n");
	}
	return rc == FT_OK ? ft_buf_printf(out, "</table>\n") : rc;
}

static int put_classes(struct ft_buf *out, const json_t *result)
{
	static const char *const column[] = { "precision", "recall", "f1", "support", "predicted" };
	json_t *classes = json_object_get(result, "classes"), *one;
	const char *name;
	if (!json_object_size(classes))
		return FT_OK;
	int rc = ft_buf_printf(out, "<h2>Classes</h2>\n<table><thead><tr>"
	                            "<th>class</th><th>precision</th><th>recall</th><th>F1</th><th>examples</th><th>predicted</th>"
	                            "</tr></thead>\n");
	json_object_foreach(classes, name, one)
	{
		if (rc == FT_OK)
			rc = put_in(out, "<tr><td>", name, "</td>");
		for (size_t i = 0; i < sizeof column / sizeof column[0] && rc == FT_OK; i++)
			rc = put_number(out, json_object_get(one, column[i]));
		if (rc == FT_OK)
			rc = ft_buf_printf(out, "</tr>\n");
	}
	return rc == FT_OK ? ft_buf_printf(out, "</table>\n") : rc;
}

/* One row of the confusion matrix, shaded by its share of the row. */
static int put_confusion_row(struct ft_buf *out, const char *name, const json_t *row)
{
	size_t n = json_array_size(row);
	double sum = 0.0;
	for (size_t k = 0; k < n; k++)
		sum += json_number_value(json_array_get(row, k));
	int rc = put_in(out, "<tr><th>", name, "</th>");
	for (size_t k = 0; k < n && rc == FT_OK; k++) {
		double v = json_number_value(json_array_get(row, k)), share = sum > 0.0 ? v / sum : 0.0;
		rc = ft_buf_printf(out, "<td style=\"background:rgba(37,99,235,%.2f)%s\" title=\"%.1f %%\">%.0f</td>",
		                   0.85 * share, share > 0.5 ? ";color:#fff" : "", 100.0 * share, v);
	}
	return rc == FT_OK ? ft_buf_printf(out, "</tr>\n") : rc;
}

static int put_confusion(struct ft_buf *out, const json_t *result)
{
	const json_t *confusion = json_object_get(result, "confusion");
	const json_t *labels = json_object_get(confusion, "labels"), *matrix = json_object_get(confusion, "matrix");
	size_t n = json_array_size(matrix);
	if (n == 0)
		return FT_OK;
	int rc = ft_buf_printf(out, "<h2>Confusion matrix</h2>\n"
	                            "<p>A row is an actual class, a column a predicted one.</p>\n"
	                            "<table class=\"confusion\"><thead><tr><th></th>");
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		const char *name = json_string_value(json_array_get(labels, i));
		rc = put_in(out, "<th>", name ? name : "?", "</th>");
	}
	if (rc == FT_OK)
		rc = ft_buf_printf(out, "</tr></thead>\n");
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		const char *name = json_string_value(json_array_get(labels, i));
		rc = put_confusion_row(out, name ? name : "?", json_array_get(matrix, i));
	}
	return rc == FT_OK ? ft_buf_printf(out, "</table>\n") : rc;
}

static int put_result(struct ft_buf *out, const struct ft_run *run)
{
	int rc = put_in(out, "<h2>Evaluation: ", run->name, "</h2>\n");
	if (rc == FT_OK)
		rc = ft_buf_printf(out, "<p>%" JSON_INTEGER_FORMAT " examples.</p>\n",
		                   json_integer_value(json_object_get(run->result, "examples")));
	if (rc == FT_OK)
		rc = put_metrics(out, run->result);
	if (rc == FT_OK)
		rc = put_classes(out, run->result);
	return rc == FT_OK ? put_confusion(out, run->result) : rc;
}

/* ---- the page ---- */

/* A figure for each of these that any run has. */
static int put_others(struct ft_buf *out, const struct ft_run *run, size_t runs)
{
	static const struct figure figure[] = {
		{ "Validation: accuracy", NULL, "valid.accuracy", 0.0 },
		{ "Validation: F1 of entities", NULL, "valid.f1", 0.0 },
		{ "Validation: macro F1", NULL, "valid.macro.f1", 0.0 },
		{ "Validation: subset accuracy", NULL, "valid.subset_accuracy", 0.0 },
		{ "Validation: R²", NULL, "valid.r2", 0.0 },
		{ "Validation: Pearson's correlation", NULL, "valid.pearson", 0.0 },
		{ "Learning rate", "lr", NULL, 0.0 },
	};
	int rc = FT_OK;
	for (size_t i = 0; i < sizeof figure / sizeof figure[0] && rc == FT_OK; i++)
		rc = put_figure(out, run, runs, &figure[i]);
	return rc;
}

int ft_report_html(struct ft_buf *out, const struct ft_run *run, size_t runs, double window)
{
	struct figure loss = { "Loss", "loss", "valid.loss", window };
	int rc = ft_buf_printf(out,
	                       "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\n"
	                       "<meta name=\"viewport\" content=\"width=device-width\">\n<title>ft-report</title>\n"
	                       "<style>\n%s</style></head>\n<body>\n<h1>Training report</h1>\n",
	                       style);
	if (rc == FT_OK)
		rc = put_figure(out, run, runs, &loss);
	if (rc == FT_OK)
		rc = put_others(out, run, runs);
	for (size_t i = 0; i < runs && rc == FT_OK; i++)
		if (run[i].result)
			rc = put_result(out, &run[i]);
	return rc == FT_OK ? ft_buf_printf(out, "</body>\n</html>\n") : rc;
}
