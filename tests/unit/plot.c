/* plot.c - the terminal drawing: exact in ASCII, aligned in braille. */
#include "ft/plot.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>

static char *draw(const struct ft_plot *p)
{
	struct ft_buf out = { 0 };
	if (ft_plot_draw(&out, p) < 0 || ft_buf_append(&out, "", 1) < 0)
		return NULL;
	return (char *)out.data;
}

static void test_ascii(void)
{
	double x[] = { 0, 5, 10 }, y[] = { 4, 2, 0 }, vx[] = { 10 }, vy[] = { 4 };
	struct ft_series s[] = { { "down", x, y, 3, false }, { "point", vx, vy, 1, true } };
	struct ft_plot p = { "title", "step", 20, 9, false, false, s, 2 };
	char *text = draw(&p);
	is_str(text,
	       "         title\n"
	       "      4 +..        o\n"
	       "      3 +  ..\n"
	       "      2 +    ...\n"
	       "      1 +       ..\n"
	       "      0 +         ..\n"
	       "        +-----------\n"
	       "         0  step  10\n"
	       "         .. down   o point\n",
	       "a line and a point in ASCII");
	free(text);
}

/* Columns that a line of UTF-8 takes, all its characters being one wide. */
static size_t columns(const char *line, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++)
		count += ((unsigned char)line[i] & 0xC0) != 0x80;
	return count;
}

static void test_unicode(void)
{
	double x[500], y[500];
	for (int i = 0; i < 500; i++) {
		x[i] = i;
		y[i] = i == 100 ? NAN : exp(-i / 100.0);
	}
	struct ft_series s[] = { { "loss", x, y, 500, false } };
	struct ft_plot p = { NULL, NULL, 40, 10, true, false, s, 1 };
	char *text = draw(&p);
	size_t lines = 0, widest = 0;
	for (char *line = text, *end; line && *line; line = end + 1) {
		end = strchr(line, '\n');
		size_t n = columns(line, (size_t)(end - line));
		widest = n > widest ? n : widest;
		lines++;
	}
	is_int((long long)widest, 40, "no line is wider than asked for");
	is_int((long long)lines, 9, "as high as asked for, but for the title");
	ok(strstr(text, "\xE2\xA0") || strstr(text, "\xE2\xA1"), "drawn in braille");
	ok(!strchr(text, '\033'), "without colours");
	free(text);
	p.colour = true;
	text = draw(&p);
	ok(strchr(text, '\033') != NULL, "with colours when asked");
	free(text);
}

static void test_odd_data(void)
{
	double x[] = { 3, 3 }, nothing[] = { NAN, INFINITY }, flat[] = { -2, -2 }, huge[] = { -1e308, 1e308 };
	struct ft_series s = { "s", x, nothing, 2, false };
	struct ft_plot p = { "t", NULL, 1, 1, true, false, &s, 1 };
	char *text = draw(&p);
	is_str(text, "t: there is nothing to draw\n", "no finite point");
	free(text);
	s.y = flat;
	text = draw(&p);
	ok(text && strstr(text, "-2"), "a flat line at one x, on the smallest canvas");
	free(text);
	s.y = huge;
	text = draw(&p);
	ok(text != NULL, "a range that overflows");
	free(text);
}

static void test_steps(void)
{
	is_near(ft_plot_step(1.0, 4), 0.5, 1e-12, "1 in at most 4 parts");
	is_near(ft_plot_step(0.8, 4), 0.2, 1e-12, "0.8 in at most 4 parts");
	is_near(ft_plot_step(70, 4), 20, 1e-12, "70 in at most 4 parts");
}

static void test_locale(void)
{
	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", "C", 1);
	setenv("LANG", "en_GB.UTF-8", 1);
	ok(!ft_plot_unicode(), "LC_ALL comes before LANG");
	setenv("LC_ALL", "", 1);
	unsetenv("LC_CTYPE");
	ok(ft_plot_unicode(), "an empty LC_ALL counts as absent");
	setenv("LC_ALL", "C.utf8", 1);
	ok(ft_plot_unicode(), "utf8 in another spelling");
	setenv("TERM", "linux", 1);
	ok(!ft_plot_unicode(), "the Linux console has no braille");
}

int main(void)
{
	test_ascii();
	test_unicode();
	test_odd_data();
	test_steps();
	test_locale();
	return tap_done();
}
