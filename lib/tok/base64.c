/* base64.c - bytes as text and back. */
#include "base64.h"
#include "ft/err.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int tok_base64_encode(const void *bytes, size_t n, struct ft_buf *out)
{
	const unsigned char *p = bytes;
	int rc = ft_buf_reserve(out, n / 3 * 4 + 4);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		unsigned v = p[i] << 16 | (left > 1 ? p[i + 1] : 0) << 8 | (left > 2 ? p[i + 2] : 0);
		unsigned char *to = out->data + out->len;
		to[0] = (unsigned char)digits[v >> 18];
		to[1] = (unsigned char)digits[v >> 12 & 63];
		to[2] = (unsigned char)(left > 1 ? digits[v >> 6 & 63] : '=');
		to[3] = (unsigned char)(left > 2 ? digits[v & 63] : '=');
		out->len += 4;
	}
	return FT_OK;
}

int tok_base64_decode(const char *text, size_t n, struct ft_buf *out)
{
	unsigned char value[256] = { 0 };
	unsigned v = 0;
	for (unsigned char i = 0; i < 64; i++)
		value[(unsigned char)digits[i]] = i + 1;
	if (n % 4)
		return ft_fail(FT_EFORMAT, "not base64: %zu characters are not a multiple of 4", n);
	for (int pads = 0; pads < 2 && n && text[n - 1] == '='; pads++)
		n--;
	int rc = ft_buf_reserve(out, n / 4 * 3 + 3);
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		unsigned char d = value[(unsigned char)text[i]];
		if (!d)
			return ft_fail(FT_EFORMAT, "not base64: character %zu", i);
		v = v << 6 | (d - 1u);
		if (i % 4)
			out->data[out->len++] = (unsigned char)(v >> (6 - 2 * (i % 4)));
	}
	return rc;
}
