from django.urls import path

from crm.health.views import Deep, Live, Ready

urlpatterns = [
    path("", Deep.as_view(), name="health"),
    path("live/", Live.as_view(), name="health-live"),
    path("ready/", Ready.as_view(), name="health-ready"),
]
