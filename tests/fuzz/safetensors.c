/* Fuzzes the safetensors reader. What it accepts must be JSON as jansson sees
 * the whole header (the reader sees it in pieces), with all data within the file. */
#include "ft/err.h"
#include "ft/format.h"
#include "tests/fuzz/harness.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The tensors of the header, counted by another parser. */
static size_t count_tensors(const uint8_t *data, size_t size)
{
	uint64_t n = 0;
	must(size >= 8);
	memcpy(&n, data, 8);
	must(n <= size - 8);
	json_t *whole = json_loadb((const char *)data + 8, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	must(json_is_object(whole));
	size_t count = json_object_size(whole) - (json_object_get(whole, "__metadata__") != NULL);
	json_decref(whole);
	return count;
}

static void check(const struct ft_safetensors *s, const uint8_t *data, size_t size)
{
	size_t bytes = 0;
	must(ft_safetensors_count(s) == count_tensors(data, size));
	for (size_t i = 0; i < ft_safetensors_count(s); i++) {
		const struct ft_stored *t = ft_safetensors_at(s, i);
		float first[1];
		must(ft_safetensors_find(s, t->name) == t);
		must(t->rank >= 0 && t->rank <= FT_RANK && t->bytes % ft_dtype_size(t->dtype) == 0);
		bytes += t->bytes;
		if (t->bytes) {
			const volatile uint8_t *p = t->data;
			(void)p[0], (void)p[t->bytes - 1];
			ft_widen(first, t->data, t->dtype, 1);
		}
	}
	must(bytes < size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[64];
	if (fd < 0) {
		fd = memfd_create("safetensors", MFD_CLOEXEC);
		must(fd >= 0);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	}
	must(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	struct ft_safetensors *s = ft_safetensors_open(path);
	if (s)
		check(s, data, size);
	else
		must(ft_last_error() == FT_EFORMAT && *ft_message());
	ft_safetensors_close(s);
	return 0;
}
