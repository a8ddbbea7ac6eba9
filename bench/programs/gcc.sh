# gcc -O2: one large file of C.
. "${0%/*}/common"
commands=gcc
packages="gcc libc6-dev"

prepare()
{
	awk -v n="$(pick 15 120)" 'BEGIN {
		print "extern int g(int, int *);"
		for (i = 0; i < n; i++) {
			printf "struct s%d { int a[%d]; double d; struct s%d *next; };\n", i, i % 13 + 2, i
			printf "int f%d(int n, int *p, struct s%d *q)\n{\n\tint i, j, sum = 0;\n", i, i
			printf "\tfor (i = 0; i < n; i++) {\n\t\tp[i] = p[i] * %d + n / (i + 1);\n", i + 3
			printf "\t\tfor (j = 0; j < %d; j++)\n\t\t\tsum += q->a[j] * p[(i + j) %% %d];\n", i % 13 + 2, i + 5
			printf "\t\tswitch (p[i] & 7) {\n"
			for (k = 0; k < 8; k++)
				printf "\t\tcase %d: sum %s= g(sum, p + %d); break;\n", k, substr("+-^|&+-^", k + 1, 1), k
			printf "\t\t}\n\t\tif (q->next && q->d > %d.5)\n\t\t\tq = q->next;\n\t}\n", i
			printf "\treturn %s;\n}\n\n", i ? "sum + f" (i - 1) "(n - 1, p, (void *)q)" : "sum"
		} }' >big.c
}

run()
{
	gcc -O2 -c big.c -o big.o
	cksum big.o
}

main "$@"
