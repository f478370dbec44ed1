#include <time.h>
#include <stdio.h>
int main(){struct timespec a,b,c;clock_gettime(CLOCK_REALTIME,&a);clock_gettime(CLOCK_MONOTONIC,&b);clock_gettime(CLOCK_BOOTTIME,&c);printf("%ld %ld %ld\n",a.tv_sec,b.tv_sec,c.tv_sec);}
