# Thin on purpose: CMakeLists.txt and CMakePresets.json build, scripts/ does the rest.
PREFIX ?= /usr/local
RESULTS ?= bench/results
export DESTDIR

.PHONY: all build check check-format check-tidy check-layers check-docs check-kernels test demo soak programs
.PHONY: install format clean help

all: build

build:
	@scripts/setup build
	@test -f build/build.ninja || cmake --preset default
	@cmake --build build

test: build
	ctest --test-dir build --output-on-failure --timeout 300 -j $$(nproc)

check:
	@scripts/setup build check engines kernels
	@scripts/check

check-format check-tidy check-layers check-docs: build
	@scripts/setup build check
	@scripts/$@

check-kernels: build
	@scripts/setup build kernels
	@UMPA_BUILD=build scripts/$@

demo:
	@scripts/setup build bench
	@$(MAKE) --no-print-directory build
	@UMPA_BUILD=build scripts/demo

# The best part of an hour; fails if a program does something else than it does without umpa.
programs:
	@scripts/setup build bench programs
	@$(MAKE) --no-print-directory build
	build/umpa bench programs --csv $(RESULTS)

soak:
	@scripts/setup build check
	@scripts/soak

# Where it will be is compiled into the program: told before it is built.
install: build
	@cmake -DCMAKE_INSTALL_PREFIX='$(PREFIX)' build >/dev/null
	@cmake --build build
	cmake --install build

format:
	@scripts/check-format --fix

clean:
	rm -rf build build-clang build-asan build-tsan

help:
	@echo "make                  build/libumpa.so, libumpa.a, libumpa-preload.so, umpa"
	@echo "make check            every test and check, about ten minutes"
	@echo "make demo             what umpa does on this machine: a table and a plot"
	@echo "make programs         real programs on each engine, with umpa and without: tables and a chart"
	@echo "make test             the tests of the build folder alone"
	@echo "make check-format | check-tidy | check-layers | check-docs | check-kernels"
	@echo "make soak             the random tests and fuzzers, for an hour"
	@echo "make install          to PREFIX (/usr/local), under DESTDIR"
	@echo "make format           write the C files as .clang-format has it"
	@echo "make clean            remove the build folders"
