/* ft-report - shows the logs of ft-train and the results of ft-eval: curves in
 * the terminal and a short table, or one page of HTML. */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/metric.h"
#include "ft/plot.h"
#include "ft/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *html;
static int64_t window = -1, width = 78, height = 16;
static bool ascii;

static const struct ft_opt options[] = {
	{ "html", 'o', FT_OPT_STR, &html, "FILE",
	  "write one page of HTML with all curves and tables; - is stdout", 0 },
	{ "smooth", 's', FT_OPT_INT, &window, "STEPS",
	  "mean of the training loss over about STEPS log lines; 1: as it is (default: a fiftieth of them)", 0 },
	{ "width", 'w', FT_OPT_INT, &width, "COLUMNS", "width of the drawing (default: 78)", 0 },
	{ "height", 0, FT_OPT_INT, &height, "LINES", "height of the drawing (default: 16)", 0 },
	{ "ascii", 'a', FT_OPT_FLAG, &ascii, NULL, "draw in ASCII even where the terminal shows UTF-8", 0 },
	{ 0 },
};

/* What a validation is judged by: the first of these that a run has. */
static const char *const judged[] = {
	"valid.accuracy", "valid.subset_accuracy", "valid.macro.f1",
	"valid.pearson", "valid.r2", "valid.perplexity",
};

static double window_of(const struct ft_run *run, size_t runs)
{
	size_t most = 0;
	for (size_t i = 0; i < runs; i++) {
		const struct ft_curve *c = ft_run_curve(&run[i], "loss");
		most = c && c->n > most ? c->n : most;
	}
	return window >= 0 ? (double)window : (double)most / 50.0;
}

static int draw(const char *title, struct ft_series *series, size_t n)
{
	struct ft_buf out = { 0 };
	struct ft_plot plot = {
		.title = title,
		.x_name = "step",
		.width = (int)width,
		.height = (int)height,
		.unicode = !ascii && ft_plot_unicode(),
		.colour = ft_colour(1),
		.series = series,
		.count = n,
	};
	int rc = n ? ft_plot_draw(&out, &plot) : FT_OK;
	if (rc == FT_OK && n)
		fwrite(out.data, 1, out.len, stdout);
	ft_buf_free(&out);
	return rc;
}

/* What is drawn, and what of it is to be freed. */
struct drawing {
	struct ft_series *series;
	double **smooth; /* of a line; NULL of points */
	char **name;
	size_t n;
};

/* A line, smoothed, or when `average` is below 0, points. */
static int add_series(struct drawing *d, const struct ft_run *run, bool several, const char *what,
                      const struct ft_curve *c, double average)
{
	char *name = d->name[d->n] = ft_format("%s%s%s", several ? run->name : "", several ? ": " : "", what);
	double *smooth = d->smooth[d->n] = average >= 0 ? ft_alloc(c->n, sizeof(double)) : NULL;
	d->series[d->n++] = (struct ft_series){ name, c->x, smooth ? smooth : c->y, c->n, average < 0 };
	if (smooth)
		ft_curve_smooth(c, average, smooth);
	return name && (smooth || average < 0) ? FT_OK : FT_EFAIL;
}

/* The training loss of each run as a line, its validation loss as points. */
static int draw_losses(const struct ft_run *run, size_t runs)
{
	struct drawing d = { ft_alloc(2 * runs, sizeof *d.series), ft_alloc(2 * runs, sizeof *d.smooth),
		             ft_alloc(2 * runs, sizeof *d.name), 0 };
	int rc = d.series && d.smooth && d.name ? FT_OK : FT_EFAIL;
	for (size_t i = 0; i < runs && rc == FT_OK; i++) {
		const struct ft_curve *line = ft_run_curve(&run[i], "loss"), *valid = ft_run_curve(&run[i], "valid.loss");
		if (line)
			rc = add_series(&d, &run[i], runs > 1, "training", line, window_of(run, runs));
		if (rc == FT_OK && valid)
			rc = add_series(&d, &run[i], runs > 1, "validation", valid, -1);
	}
	if (rc == FT_OK)
		rc = draw("loss", d.series, d.n);
	for (size_t i = 0; i < d.n; i++) {
		free(d.name[i]);
		free(d.smooth[i]);
	}
	free(d.series);
	free(d.smooth);
	free(d.name);
	return rc;
}

/* Of one validation metric: a line for each run, when any has two points. */
static int draw_metric(const struct ft_run *run, size_t runs, const char *path)
{
	struct ft_series *series = ft_alloc(runs, sizeof *series);
	size_t n = 0, most = 0;
	if (!series)
		return FT_EFAIL;
	for (size_t i = 0; i < runs; i++) {
		const struct ft_curve *c = ft_run_curve(&run[i], path);
		if (!c)
			continue;
		series[n++] = (struct ft_series){ runs > 1 ? run[i].name : "validation", c->x, c->y, c->n, false };
		most = c->n > most ? c->n : most;
	}
	if (n && most > 1)
		putchar('\n');
	int rc = draw(path + strlen("valid."), series, most > 1 ? n : 0);
	free(series);
	return rc;
}

/* ---- the table ---- */

static int direction(const char *path)
{
	const struct ft_metric_info *info;
	for (size_t i = 0; (info = ft_metric_info(i)); i++)
		if (strcmp(info->name, path + strlen("valid.")) == 0)
			return info->better;
	return 1;
}

/* Prints the best value of a curve and the step it was seen at. */
static void print_best(const struct ft_curve *c, const char *path)
{
	size_t best = 0;
	if (!c || c->n == 0) {
		printf("  %18s", "-");
		return;
	}
	for (size_t i = 1; i < c->n; i++)
		if (isfinite(c->y[i]) && (c->y[i] - c->y[best]) * direction(path) > 0)
			best = i;
	char text[64];
	snprintf(text, sizeof text, fabs(c->y[best]) < 1e5 ? "%.4f @ %.9g" : "%.4g @ %.9g", c->y[best], c->x[best]);
	printf("  %18s", text);
}

static int print_table(const struct ft_run *run, size_t runs, const char *metric)
{
	int wide = 5;
	for (size_t i = 0; i < runs; i++)
		wide = (int)strlen(run[i].name) > wide ? (int)strlen(run[i].name) : wide;
	printf("\n%-*s  %8s  %13s  %18s", wide, "run", "step", "training loss", "best valid loss");
	if (metric)
		printf("  %*s%s", 13 - (int)strlen(metric + strlen("valid.")), "best ", metric + strlen("valid."));
	putchar('\n');
	for (size_t i = 0; i < runs; i++) {
		const struct ft_curve *c = ft_run_curve(&run[i], "loss");
		if (run[i].count == 0)
			continue;
		double last = NAN, *smooth = c ? ft_alloc(c->n, sizeof *smooth) : NULL;
		if (c && !smooth)
			return FT_EFAIL;
		if (c) {
			ft_curve_smooth(c, window_of(run, runs), smooth);
			last = smooth[c->n - 1];
		}
		free(smooth);
		printf("%-*s  %8.9g  %13.4f", wide, run[i].name, run[i].curve[0].x[run[i].curve[0].n - 1], last);
		print_best(ft_run_curve(&run[i], "valid.loss"), "valid.loss");
		if (metric)
			print_best(ft_run_curve(&run[i], metric), metric);
		putchar('\n');
	}
	return FT_OK;
}

static int print_result(const struct ft_run *run)
{
	struct ft_buf out = { 0 };
	int rc = ft_metric_table(&out, run->result, NULL, NULL);
	if (rc == FT_OK) {
		printf("%s: ", run->name);
		fwrite(out.data, 1, out.len, stdout);
	}
	ft_buf_free(&out);
	return rc;
}

static int print_terminal(const struct ft_run *run, size_t runs)
{
	const char *metric = NULL;
	bool curves = false;
	for (size_t i = 0; i < runs; i++) {
		curves |= run[i].count > 0;
		for (size_t k = 0; k < sizeof judged / sizeof judged[0] && !metric; k++)
			metric = ft_run_curve(&run[i], judged[k]) ? judged[k] : NULL;
	}
	int rc = curves ? draw_losses(run, runs) : FT_OK;
	if (rc == FT_OK && metric)
		rc = draw_metric(run, runs, metric);
	if (rc == FT_OK && curves)
		rc = print_table(run, runs, metric);
	for (size_t i = 0; i < runs && rc == FT_OK; i++) {
		if (!run[i].result)
			continue;
		if (curves || i > 0)
			putchar('\n');
		rc = print_result(&run[i]);
	}
	return rc;
}

static int write_html(const struct ft_run *run, size_t runs)
{
	struct ft_buf page = { 0 };
	struct ft_outfile *f = NULL;
	int rc = ft_report_html(&page, run, runs, window_of(run, runs));
	if (rc == FT_OK && !(f = ft_outfile_open(html)))
		rc = ft_last_error();
	if (rc == FT_OK)
		rc = ft_write_all(ft_outfile_fd(f), page.data, page.len, strcmp(html, "-") ? html : "stdout");
	if (rc == FT_OK)
		rc = ft_outfile_commit(f);
	ft_outfile_free(f);
	ft_buf_free(&page);
	return rc;
}

static int run_report(int argc, char **argv)
{
	size_t runs = argc ? (size_t)argc : 1, read = 0;
	if (window < -1 || width < 20 || width > 1000 || height < 6 || height > 1000)
		return ft_fail(FT_EUSAGE, "--smooth, --width or --height is out of range");
	struct ft_run *run = ft_alloc(runs, sizeof *run);
	int rc = run ? FT_OK : FT_EFAIL;
	for (; read < runs && rc == FT_OK; read++)
		rc = ft_run_read(&run[read], argc ? argv[read] : NULL);
	if (rc == FT_OK)
		rc = html ? write_html(run, runs) : print_terminal(run, runs);
	for (size_t i = 0; run && i < read; i++)
		ft_run_free(&run[i]);
	free(run);
	return rc;
}

const struct ft_tool ft_tool = { "ft-report", "show the logs of ft-train and the results of ft-eval",
	                         "[--html FILE] [LOG]...", options, run_report };
