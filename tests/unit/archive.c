/* Reproducible archives: what is in them, and that nothing else decides their bytes. */
#include "ft/format.h"
#include "ft/mem.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <zstd.h>

static char folder[] = "/tmp/ft-unit.XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[4][128];
	static int turn;
	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
	return path[turn];
}

static void put(const char *name, const char *text, mode_t mode, time_t when)
{
	const char *path = in_folder(name);
	FILE *f = fopen(path, "wb");
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
	utimes(path, (struct timeval[2]){ { when, 1 }, { when, 2 } });
}

static struct ft_buf get(const char *path)
{
	struct ft_buf b = { 0 };
	FILE *f = fopen(path, "rb");
	char chunk[4096];
	size_t n;
	while (f && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
		ft_buf_append(&b, chunk, n);
	if (f)
		fclose(f);
	return b;
}

/* A tar's headers as "name mode uid gid size mtime type user;" */
static char *listing(const struct ft_buf *tar)
{
	struct ft_buf b = { 0 };
	for (size_t at = 0; at + 512 <= tar->len && tar->data[at];) {
		const char *h = (const char *)tar->data + at;
		unsigned long size = strtoul(h + 124, NULL, 8);
		ft_buf_printf(&b, "%.100s %lo %lo %lo %lu %lu %c%.32s;", h, strtoul(h + 100, NULL, 8),
		              strtoul(h + 108, NULL, 8), strtoul(h + 116, NULL, 8), size,
		              strtoul(h + 136, NULL, 8), h[156], h + 265);
		at += 512 + (size + 511) / 512 * 512;
	}
	return (char *)b.data; /* ft_buf_printf terminates it */
}

static void is_packed(const char *name, const char *want)
{
	const char *path = in_folder(name);
	is_int(ft_archive_pack(path, in_folder("m")), FT_OK, name);
	struct ft_buf tar = get(path);
	char *got = listing(&tar);
	is_str(got, want, "members, sorted, without owner");
	free(got);
	ft_buf_free(&tar);
}

static void test_tar(void)
{
	unsetenv("SOURCE_DATE_EPOCH");
	is_packed("a.tar", "B 644 0 0 1 0 0;a 644 0 0 5 0 0;c 644 0 0 0 0 0;sub/x 644 0 0 1 0 0;");
	setenv("SOURCE_DATE_EPOCH", "1234567890", 1);
	is_packed("b.tar", "B 644 0 0 1 1234567890 0;a 644 0 0 5 1234567890 0;c 644 0 0 0 1234567890 0;"
	                  "sub/x 644 0 0 1 1234567890 0;");
	struct ft_buf tar = get(in_folder("b.tar"));
	ok(tar.len > 1536 && !memcmp(tar.data + 512, "b", 1) && !memcmp(tar.data + 1536, "hello", 5),
	   "contents");
	ft_buf_free(&tar);
	setenv("SOURCE_DATE_EPOCH", "12x", 1);
	ok(ft_archive_pack(in_folder("e.tar"), in_folder("m")) == FT_EUSAGE &&
	           access(in_folder("e.tar"), F_OK) < 0,
	   "a time that is no number");
	unsetenv("SOURCE_DATE_EPOCH");
}

static void test_compressed(void)
{
	is_int(ft_archive_pack(in_folder("a.tar.zst"), in_folder("m")), FT_OK, "a.tar.zst");
	is_int(ft_archive_pack(in_folder("a.tar.gz"), in_folder("m")), FT_OK, "a.tar.gz");
	struct ft_buf tar = get(in_folder("a.tar")), zst = get(in_folder("a.tar.zst")),
		      gz = get(in_folder("a.tar.gz"));
	char plain[65536];
	size_t n = ZSTD_decompress(plain, sizeof plain, zst.data, zst.len);
	ok(n == tar.len && !memcmp(plain, tar.data, n), "zstd holds the very tar");
	ok(gz.len > 10 && !memcmp(gz.data, "\x1f\x8b\x08\0\0\0\0\0", 8), "gzip holds no time and no name");

	/* Another time, mode and order of creation; then again. */
	unlink(in_folder("m/a"));
	put("m/a", "hello", 0600, 99);
	ft_archive_pack(in_folder("again.tar.zst"), in_folder("m"));
	ft_archive_pack(in_folder("again.tar.gz"), in_folder("m"));
	struct ft_buf zst2 = get(in_folder("again.tar.zst")), gz2 = get(in_folder("again.tar.gz"));
	ok(zst.len == zst2.len && !memcmp(zst.data, zst2.data, zst.len), "the same bytes again (zstd)");
	ok(gz.len == gz2.len && !memcmp(gz.data, gz2.data, gz.len), "the same bytes again (gzip)");
	ft_buf_free(&tar);
	ft_buf_free(&zst);
	ft_buf_free(&gz);
	ft_buf_free(&zst2);
	ft_buf_free(&gz2);
}

static void test_failures(void)
{
	ok(ft_archive_pack(in_folder("a.zip"), in_folder("m")) == FT_EUSAGE &&
	           strstr(ft_message(), ".tar.zst"),
	   "an ending that means nothing");
	is_int(ft_archive_pack(in_folder("x.tar"), in_folder("none")), FT_EFAIL,
	       "a folder that is not there");
	ok(access(in_folder("x.tar"), F_OK) < 0, "and no archive appeared");
	symlink("/dev/full", in_folder("full.tar"));
	ok(ft_archive_pack(in_folder("full.tar"), in_folder("m")) == FT_EFAIL &&
	           strstr(ft_message(), "No space"),
	   "a full disk");
	ok(ft_archive_named("x/a.tar") && ft_archive_named("a.tar.zst") && ft_archive_named("a.tar.gz"),
	   "archives");
	ok(!ft_archive_named(".tar") && !ft_archive_named("x/.tar.gz") && !ft_archive_named("a.tgz") &&
	           !ft_archive_named("tar") && !ft_archive_named(""),
	   "and names that are none");
}

int main(void)
{
	if (!mkdtemp(folder) || mkdir(in_folder("m"), 0777) < 0 || mkdir(in_folder("m/sub"), 0777) < 0 ||
	    mkdir(in_folder("m/sub/deep"), 0777) < 0)
		return 1;
	put("m/c", "", 0644, 5);
	put("m/a", "hello", 0755, 6);
	put("m/B", "b", 0444, 7);
	put("m/sub/x", "x", 0600, 8);
	put("m/sub/deep/not-packed", "x", 0644, 8);
	symlink("a", in_folder("m/link"));
	mkfifo(in_folder("m/fifo"), 0644);
	test_tar();
	test_compressed();
	test_failures();
	static const char *const left[] = { "m/a",       "m/B",      "m/c",           "m/sub/x", "m/sub/deep/not-packed",
	                                    "m/link",    "m/fifo",   "a.tar",         "b.tar",
	                                    "a.tar.zst", "a.tar.gz", "again.tar.zst", "again.tar.gz",
	                                    "full.tar" };
	for (size_t i = 0; i < sizeof left / sizeof *left; i++)
		unlink(in_folder(left[i]));
	rmdir(in_folder("m/sub/deep"));
	rmdir(in_folder("m/sub"));
	rmdir(in_folder("m"));
	ok(rmdir(folder) == 0, "nothing else was left in the folder");
	return tap_done();
}
