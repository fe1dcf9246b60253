/* utf8.c - characters out of bytes that anybody may have written, and back. */
#include "ft/utf8.h"

#include <stdint.h>
#include <string.h>

size_t ft_utf8_get(const char *text, size_t n, int32_t *c, bool *bad)
{
	/* By the first byte: length, and the range of the second byte, which
	 * excludes overlong forms, surrogates and what is above U+10FFFF. */
	const unsigned char *s = (const unsigned char *)text;
	unsigned char b = s[0], low = 0x80, high = 0xbf;
	if (b < 0x80) {
		*c = b;
		return 1;
	}
	size_t len = b < 0xc2 ? 0 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : b < 0xf5 ? 4 : 0;
	if (b == 0xe0)
		low = 0xa0;
	else if (b == 0xed)
		high = 0x9f;
	else if (b == 0xf0)
		low = 0x90;
	else if (b == 0xf4)
		high = 0x8f;
	int32_t v = b & (0x7f >> len);
	size_t i = 1;
	for (; i < len && i < n && s[i] >= low && s[i] <= high; i++) {
		v = v << 6 | (s[i] & 0x3f);
		low = 0x80;
		high = 0xbf;
	}
	*c = v;
	if (i == len)
		return len;
	*c = 0xFFFD;
	if (bad)
		*bad = true;
	return i;
}

size_t ft_utf8_put(int32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

size_t ft_utf8_invalid(const char *text, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n;) {
		uint64_t eight;
		if (n - i >= 8 && (memcpy(&eight, text + i, 8), (eight & 0x8080808080808080u) == 0)) {
			i += 8;
			continue;
		}
		int32_t c;
		bool bad = false;
		i += ft_utf8_get(text + i, n - i, &c, &bad);
		count += bad;
	}
	return count;
}
