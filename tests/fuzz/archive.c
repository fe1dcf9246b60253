/* Fuzzes archives: behind a byte of flags, a tar or zip file (or anything), which is compressed here, so that its
 * members are reached. What is read must be as text.h says, and names members that can be shown. */
#include "ft/err.h"
#include "ft/text.h"
#include "tests/fuzz/harness.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

/* Of the first byte. */
#define FILTER(byte) ((byte) % 4)
#define FORMAT(byte) ((byte) / 4 % 2 ? FT_TEXT_LINES : FT_TEXT_FILE)
#define MEMBER(byte) ((byte) / 8 % 2 ? "*.t*" : NULL)

#define MAX_LINE 4096

static void put_compressed(int filter, const void *p, size_t n)
{
	static int (*const filters[])(struct archive *) = { archive_write_add_filter_none, archive_write_add_filter_gzip,
		                                            archive_write_add_filter_zstd, archive_write_add_filter_bzip2 };
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	must(a && e && archive_write_set_format_raw(a) == ARCHIVE_OK && filters[filter](a) == ARCHIVE_OK);
	must(archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK);
	must(archive_write_open_filename(a, harness_path("a")) == ARCHIVE_OK);
	archive_entry_set_filetype(e, AE_IFREG);
	must(archive_write_header(a, e) == ARCHIVE_OK && archive_write_data(a, p, n) == (la_ssize_t)n);
	must(archive_write_free(a) == ARCHIVE_OK);
	archive_entry_free(e);
}

static void check_row(const struct ft_row *r)
{
	must(r->text.p && r->text.n <= MAX_LINE && r->src.n > 2);
	for (size_t i = 0; i < r->src.n; i++)
		must((unsigned char)r->src.p[i] >= 0x20 && r->src.p[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!*harness_folder)
		harness_make_folder();
	if (!size)
		return 0;
	put_compressed(FILTER(*data), data + 1, size - 1);
	struct ft_text_options o = { .format = FORMAT(*data), .header = -1, .max_line = MAX_LINE, .member = MEMBER(*data) };
	struct ft_text *t = ft_text_open(harness_path("a"), &o);
	struct ft_row row;
	int rc = t ? 1 : ft_last_error();
	while (rc > 0 && (rc = ft_text_next(t, &row)) > 0)
		check_row(&row);
	must(rc == FT_OK || (rc == FT_EFORMAT && *ft_message()));
	ft_text_close(t);
	return 0;
}
