# perl: hashes, strings that grow, sorting, substitution.
. "${0%/*}/common"
commands=perl
packages=perl

prepare()
{
	cat >work.pl <<'PERL'
my $n = shift;
my %h;
$h{ $_ * 7919 % 70001 } .= "x$_" for 1 .. $n;
my $s = join "", map { $h{$_} } sort keys %h;
my $t = $s x 3;
$t =~ s/x1/yy/g;
print length($s), " ", length($t), " ", unpack("%32C*", $t), "\n";
my @rows = map { { id => $_, name => "n" . $_ * 31 % 1009, list => [ $_ .. $_ + 4 ] } } 1 .. $n / 4;
@rows = sort { $a->{name} cmp $b->{name} || $b->{id} <=> $a->{id} } @rows;
print "$rows[0]{id} $rows[-1]{id} ", scalar(@rows), "\n";
my %words;
$words{$_}++ for split /x/, $s;
print scalar(keys %words), "\n";
my $grown = "";
$grown .= chr($_ % 251) x 997 for 1 .. $n / 20;
print length($grown), " ", unpack("%32C*", $grown), "\n";
PERL
}

run()
{
	perl work.pl "$(pick 20000 250000)"
}

main "$@"
